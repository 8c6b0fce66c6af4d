// Which text of a prompt was written in its template.

#pragma once

#include <llama-chat/jinja/lexer.h>
#include <llama-chat/jinja/runtime.h>

#include <string>
#include <vector>

/// A template that knows its own text again when it comes out.
///
/// The engine can mark strings, and keeps a mark through most of what a template does with them. It is meant for user
/// input, where a mark that gets lost is a hole: `split` marks the last part alone, `join`, `tojson` and others none.
/// So the marks are used the other way round, on the template's own text. What loses its mark is then taken for
/// content.
///
/// To mark them, each literal and each text between blocks is moved to a list, which the template reads as a variable:
/// `'user'` becomes `ct_literals[3]`.
struct template_text {
    /// What the template is parsed from.
    jinja::lexer_result tokens;
    /// The value of `variable`: the marked texts.
    jinja::value literals;

    static constexpr const char *variable = "ct_literals";

    /// Throws std::runtime_error for a template that is nested too deeply to be parsed.
    explicit template_text(const jinja::lexer_result &source);
};

/// A string of the template's own.
jinja::value own_string(const std::string &text);
