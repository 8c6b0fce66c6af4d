// Chat templates by llama.cpp's Jinja engine, behind functions that C can call.
//
// A prompt comes back as pieces, each the template's own text or not. Only in the template's own text may names of
// control tokens become control tokens, and a piece counts as such when all of it was written in the template: its
// literals and the text between its blocks, the roles of messages, and the texts of the BOS and EOS tokens. All else
// (contents of messages, arguments, dates, numbers) does not, and neither does what the template computes from both
// together in a way that loses track.
//
// Nothing is thrown and nothing is printed. Functions that can fail take `error`, which must not be null, and set it to
// a text that the caller frees with ct_string_free. Strings are UTF-8 with their length and may hold zero bytes, except
// where a plain `const char *` is asked for. A template never changes once it is made: any number of threads may render
// it at the same time.

#ifndef CHAT_TEMPLATES_H
#define CHAT_TEMPLATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ct_template ct_template;
typedef struct ct_prompt ct_prompt;

typedef struct {
    /// Lower case letters and '_'; other roles make the rendering fail.
    const char *role;
    const char *content;
    size_t content_length;
} ct_message;

typedef struct {
    /// Ask for what the model's answer begins with.
    bool add_generation_prompt;
    /// The variable `enable_thinking`: negative leaves it out, which means what the template takes it for.
    int enable_thinking;
    /// More variables, as a JSON object; null for none. They cannot take the place of messages, tokens and
    /// `add_generation_prompt`.
    const char *arguments;
    /// What the template takes for now, in seconds since 1970; negative for the time of the call.
    int64_t time;
} ct_options;

typedef struct {
    const char *text;
    size_t length;
    /// Written in the template, so that names of control tokens in it are control tokens.
    bool is_template;
} ct_piece;

/// Parses a template. `bos` and `eos` are the texts of these tokens, empty where the model has none.
///
/// Returns null and sets `error` for a template that cannot be parsed.
ct_template *ct_template_create(const char *source, size_t length, const char *bos, const char *eos, char **error);

/// Null is allowed.
void ct_template_free(ct_template *chat_template);

/// Whether contents are handed to it as lists of parts, since it understands no plain text.
bool ct_template_wants_parts(const ct_template *chat_template);

/// Fills the template in.
///
/// Returns null and sets `error` when the template refuses the messages (`*is_refusal` is true then, and the text is
/// the template's), or cannot be executed. `is_refusal` may be null.
ct_prompt *ct_template_render(
    const ct_template *chat_template, const ct_message *messages, size_t count, ct_options options, char **error,
    bool *is_refusal);

/// How many pieces a prompt has, which follow each other.
size_t ct_prompt_count(const ct_prompt *prompt);

/// A piece, valid as long as the prompt. `index` must be below the count.
ct_piece ct_prompt_piece(const ct_prompt *prompt, size_t index);

/// Null is allowed.
void ct_prompt_free(ct_prompt *prompt);

/// Null is allowed.
void ct_string_free(char *text);

#ifdef __cplusplus
}
#endif

#endif
