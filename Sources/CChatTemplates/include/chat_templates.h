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

// What goes beyond a prompt: tools, reasoning, and answers taken apart, by llama.cpp's chat library.

typedef struct ct_formats ct_formats;
typedef struct ct_format ct_format;
typedef struct ct_triggers ct_triggers;

/// What a template tells of its model's formats.
///
/// Returns null and sets `error` for a template that cannot be parsed. Never changes; for any number of threads.
ct_formats *ct_formats_create(const char *source, size_t length, const char *bos, const char *eos, char **error);

/// Null is allowed.
void ct_formats_free(ct_formats *formats);

/// A prompt, with the grammar and the parser of the answer to it.
///
/// `request` is a JSON object: `messages` and `tools` as in OpenAI's chat completions, `tool_choice` (auto, none or
/// required), `parallel_tool_calls`, `json_schema`, `enable_thinking`, `continue_final_message` (none, content or
/// reasoning_content: the answer goes on with the last message), `arguments` (more variables of the template).
///
/// Returns null and sets `error` as ct_template_render does. Takes milliseconds: a template is looked at by filling it
/// in some dozens of times.
ct_format *ct_formats_apply(const ct_formats *formats, const char *request, char **error, bool *is_refusal);

/// Null is allowed.
void ct_format_free(ct_format *format);

/// The prompt, as ct_prompt_count and ct_prompt_piece give it.
size_t ct_format_piece_count(const ct_format *format);
ct_piece ct_format_piece(const ct_format *format, size_t index);

/// A JSON object: `name`, `grammar` (GBNF; empty for none), `is_lazy` (the grammar begins at a trigger),
/// `preserved_tokens` (control tokens that are part of what an answer says), `stops`, `generation_prompt`,
/// `supports_thinking`, `thinking_start`, `thinking_ends`. The caller frees it with ct_string_free.
char *ct_format_description(const ct_format *format, char **error);

/// An answer taken apart, as a JSON object: `content`, `reasoning`, `calls` (each with `id`, `name` and `arguments`,
/// which is the text of a JSON object). The caller frees it with ct_string_free.
///
/// `is_partial` takes an answer that goes on. Returns null and sets `error` for a text that is no answer in this
/// format.
char *ct_format_parse(const ct_format *format, const char *text, size_t length, bool is_partial, char **error);

/// What begins the grammar of a format that is lazy.
ct_triggers *ct_format_triggers(const ct_format *format, char **error);

/// Null is allowed.
void ct_triggers_free(ct_triggers *triggers);

/// Where in an answer the grammar begins, in bytes; negative as long as there is no trigger.
ptrdiff_t ct_triggers_find(const ct_triggers *triggers, const char *text, size_t length);

/// A grammar (GBNF) of the texts that a JSON schema allows, which the caller frees with ct_string_free.
///
/// Returns null and sets `error` for a schema that is no JSON or cannot be followed.
char *ct_schema_grammar(const char *schema, char **error);

#ifdef __cplusplus
}
#endif

#endif
