#include "chat_templates.h"

#include "template_internals.h"

#include <llama-chat/jinja/caps.h>
#include <llama-chat/jinja/parser.h>
#include <llama-chat/json.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

struct ct_prompt {
    std::vector<jinja::string_part> pieces;
};

namespace {

/// The engine shows the place with an excerpt over several lines, and then the reason.
std::string one_line(const std::string &message, bool &is_refusal) {
    static const std::string raised = "Jinja Exception: ", reason = "\nError: ", place = " at line ";
    const size_t refusal = message.rfind(raised);
    is_refusal = refusal != std::string::npos;
    if (is_refusal) return message.substr(refusal + raised.size());
    const size_t start = message.rfind(reason);
    if (start == std::string::npos) return message.substr(0, message.find('\n'));
    const size_t line = message.find(place), end = message.find(" in source", line);
    const std::string text = message.substr(start + reason.size());
    if (line == std::string::npos || end == std::string::npos) return text;
    return message.substr(line + 4, end - line - 4) + ": " + text;
}

jinja::value content_value(const ct_message &message, bool as_parts) {
    auto text = jinja::mk_val<jinja::value_string>(std::string(message.content, message.content_length));
    if (!as_parts) return text;
    auto part = jinja::mk_val<jinja::value_object>();
    part->insert("type", own_string("text"));
    part->insert("text", text);
    auto parts = jinja::mk_val<jinja::value_array>();
    parts->push_back(part);
    return parts;
}

jinja::value message_value(const ct_message &message, bool as_parts) {
    const std::string role = message.role;
    if (role.empty() || role.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string::npos) {
        throw std::runtime_error("a role has other characters than lower case letters");
    }
    auto object = jinja::mk_val<jinja::value_object>();
    object->insert("role", own_string(role));
    object->insert("content", content_value(message, as_parts));
    return object;
}

void set_arguments(jinja::context &context, const char *json) {
    template_check_depth(json);
    const common_json object = common_json::parse(json);
    if (!object.is_object()) throw std::runtime_error("the arguments are no JSON object");
    jinja::global_from_json(context, object, false);
}

void set_variables(
    jinja::context &context, const ct_template &chat_template, const ct_message *messages, size_t count,
    const ct_options &options) {
    // As transformers does: there, but nothing. Arguments may bring them.
    context.set_val("tools", jinja::mk_val<jinja::value_none>());
    context.set_val("documents", jinja::mk_val<jinja::value_none>());
    if (options.enable_thinking >= 0) {
        context.set_val("enable_thinking", jinja::mk_val<jinja::value_bool>(options.enable_thinking != 0));
    }
    if (options.arguments != nullptr) set_arguments(context, options.arguments);
    auto list = jinja::mk_val<jinja::value_array>();
    for (size_t i = 0; i < count; i++) list->push_back(message_value(messages[i], chat_template.wants_parts));
    context.set_val("messages", list);
    context.set_val("bos_token", chat_template.bos);
    context.set_val("eos_token", chat_template.eos);
    context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(options.add_generation_prompt));
    context.set_val(template_text::variable, chat_template.literals);
    if (options.time >= 0) context.current_time = static_cast<std::time_t>(options.time);
}

/// Whether the engine finds that the template reads contents as lists of parts alone.
bool needs_parts(jinja::lexer_result &source) {
    try {
        jinja::program program = jinja::parse_from_tokens(source);
        const jinja::caps caps = jinja::caps_get(program);
        return caps.supports_typed_content && !caps.supports_string_content;
    } catch (...) {
        return false;
    }
}

}  // namespace

char *template_copy(const std::string &text) {
    char *copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (copy != nullptr) std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

char *template_error(const std::exception &error, bool *is_refusal) {
    bool refuses = false;
    const std::string text = one_line(error.what(), refuses);
    if (is_refusal != nullptr) *is_refusal = refuses;
    return template_copy(text);
}

void template_check_depth(const char *json) {
    int depth = 0;
    bool in_string = false;
    for (; *json != 0; json++) {
        if (in_string) {
            if (*json == '\\' && json[1] != 0) json++;
            else if (*json == '"') in_string = false;
        } else if (*json == '"') {
            in_string = true;
        } else if (*json == '[' || *json == '{') {
            if (++depth > 200) throw std::runtime_error("the arguments are nested too deeply");
        } else if (*json == ']' || *json == '}') {
            depth--;
        }
    }
}

std::mutex &template_dates() {
    static std::mutex dates;
    return dates;
}

ct_template *ct_template_create(const char *source, size_t length, const char *bos, const char *eos, char **error) {
    *error = nullptr;
    try {
        jinja::lexer lexer;
        jinja::lexer_result tokens = lexer.tokenize(std::string(source, length));
        const template_text text(tokens);
        auto result = std::make_unique<ct_template>(
            ct_template{std::string(source, length), text.tokens.source, jinja::parse_from_tokens(text.tokens), text.literals, own_string(bos),
                        own_string(eos)});
        result->wants_parts = needs_parts(tokens);
        result->has_dates = result->source.find("strftime_now") != std::string::npos;
        return result.release();
    } catch (const std::exception &exception) {
        *error = template_error(exception, nullptr);
    } catch (...) {
        *error = template_copy("an unknown error");
    }
    return nullptr;
}

void ct_template_free(ct_template *chat_template) { delete chat_template; }

bool ct_template_wants_parts(const ct_template *chat_template) { return chat_template->wants_parts; }

ct_prompt *ct_template_render(
    const ct_template *chat_template, const ct_message *messages, size_t count, ct_options options, char **error,
    bool *is_refusal) {
    *error = nullptr;
    if (is_refusal != nullptr) *is_refusal = false;
    try {
        jinja::context context(chat_template->source);
        set_variables(context, *chat_template, messages, count, options);
        std::unique_lock<std::mutex> lock(template_dates(), std::defer_lock);
        if (chat_template->has_dates) lock.lock();
        jinja::runtime runtime(context);
        const jinja::value output = runtime.execute(chat_template->program);
        auto prompt = std::make_unique<ct_prompt>();
        prompt->pieces = std::move(jinja::runtime::gather_string_parts(output)->val_str.parts);
        return prompt.release();
    } catch (const std::exception &exception) {
        *error = template_error(exception, is_refusal);
    } catch (...) {
        *error = template_copy("an unknown error");
    }
    return nullptr;
}

size_t ct_prompt_count(const ct_prompt *prompt) { return prompt->pieces.size(); }

ct_piece ct_prompt_piece(const ct_prompt *prompt, size_t index) {
    const jinja::string_part &part = prompt->pieces[index];
    return {part.val.data(), part.val.size(), part.is_input};
}

void ct_prompt_free(ct_prompt *prompt) { delete prompt; }

void ct_string_free(char *text) { std::free(text); }
