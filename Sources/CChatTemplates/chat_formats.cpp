#include "chat_templates.h"

#include "template_internals.h"

#include <llama-chat/chat-auto-parser.h>
#include <llama-chat/chat.h>
#include <llama-chat/json-schema-to-grammar.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using json = common_json;

struct ct_formats {
    /// The template as it is filled in for prompts.
    std::unique_ptr<ct_template, void (*)(ct_template *)> program;
    /// The template as llama.cpp's chat library analyses it.
    common_chat_templates_ptr templates;
};

struct ct_format {
    common_chat_params params;
    common_chat_parser_params parser;
    std::vector<jinja::string_part> pieces;
};

namespace {

/// What the template was filled in to, while a format is made on this thread.
struct recording {
    const ct_template *program;
    /// What is asked for. Variables that it leaves out are left out: templates know best what that means.
    const json &request;
    std::vector<std::vector<jinja::string_part>> prompts;
    std::vector<std::string> texts;

    bool has_argument(const std::string &name) const {
        return request.contains("arguments") && request.at("arguments").contains(name);
    }
};

thread_local recording *current = nullptr;

struct recording_scope {
    explicit recording_scope(recording &made) { current = &made; }
    ~recording_scope() { current = nullptr; }
};

/// Roles are of a closed set, so they count as the template's own text: some templates make control tokens of them.
void own_roles(jinja::context &context) {
    const jinja::value messages = context.get_val("messages");
    if (!jinja::is_val<jinja::value_array>(messages)) return;
    for (const auto &message : messages->as_array()) {
        if (!jinja::is_val<jinja::value_object>(message)) continue;
        for (const auto &entry : message->as_ordered_object()) {
            if (entry.first->as_string().str() != "role" || !jinja::is_val<jinja::value_string>(entry.second)) continue;
            entry.second->val_str.mark_input();
        }
    }
}

/// An argument of the template that only the request itself has: what the library tries out, to learn a template's form,
/// has others.
constexpr const char *request_mark = "ct_request";

}  // namespace

/// The library's own, under the name that the build gives it.
std::string common_chat_template_direct_apply_library(
    const common_chat_template &chat_template, const autoparser::generation_params &inputs,
    const std::optional<json> &messages, const std::optional<json> &tools, const std::optional<json> &more);

/// The library fills templates in through this function alone. It keeps track of what was written in the template, where
/// it is the request that is filled in.
std::string common_chat_template_direct_apply_impl(
    const common_chat_template &chat_template, const autoparser::generation_params &inputs,
    const std::optional<json> &messages, const std::optional<json> &tools, const std::optional<json> &more) {
    recording *const made = current;
    const bool is_request = inputs.extra_context.is_object() && inputs.extra_context.contains(request_mark);
    if (made == nullptr || !is_request || chat_template.source() != made->program->original) {
        return common_chat_template_direct_apply_library(chat_template, inputs, messages, tools, more);
    }
    jinja::context context(made->program->source);
    json variables = json::object();
    if (made->request.contains("enable_thinking")) variables["enable_thinking"] = inputs.enable_thinking;
    if (tools.has_value() || !inputs.tools.empty()) variables["tools"] = tools.has_value() ? *tools : inputs.tools;
    for (const json *list : {&inputs.extra_context, more.has_value() ? &*more : nullptr}) {
        if (list == nullptr || !list->is_object()) continue;
        for (const auto &[name, value] : list->items()) {
            const bool is_date = name == "datetime" || name == "date_string";
            if (name == request_mark || (is_date && !made->has_argument(name))) continue;
            variables[name] = value;
        }
    }
    variables["messages"] = messages.has_value() ? *messages : inputs.messages;
    variables["bos_token"] = chat_template.bos_token();
    variables["eos_token"] = chat_template.eos_token();
    variables.erase("add_generation_prompt");
    if (inputs.add_generation_prompt) variables["add_generation_prompt"] = true;
    if (variables.contains("preserve_reasoning") && variables["preserve_reasoning"].is_boolean()) {
        jinja::caps_apply_preserve_reasoning(context, variables["preserve_reasoning"].get<bool>());
    }
    if (variables.contains("reasoning_effort") && variables["reasoning_effort"].is_string()) {
        const std::string effort = variables["reasoning_effort"].get<std::string>();
        if (!effort.empty()) jinja::caps_apply_reasoning_effort(context, effort);
    }
    jinja::global_from_json(context, variables, false);
    context.current_time = std::chrono::system_clock::to_time_t(inputs.now);
    context.set_val("bos_token", made->program->bos);
    context.set_val("eos_token", made->program->eos);
    context.set_val(template_text::variable, made->program->literals);
    own_roles(context);
    jinja::runtime runtime(context);
    const jinja::value output = runtime.execute(made->program->program);
    const jinja::value_string result = jinja::runtime::gather_string_parts(output);
    std::string text = result->val_str.str();
    made->prompts.push_back(result->val_str.parts);
    made->texts.push_back(text);
    return text;
}

namespace {

/// The pieces of a prompt: what the template was filled in to, and what the library added to it.
std::vector<jinja::string_part> pieces_of(const recording &made, const common_chat_params &params, const json &request) {
    const std::string &prompt = params.prompt;
    size_t best = 0, length = 0;
    bool is_found = false;
    for (size_t i = 0; i < made.texts.size(); i++) {
        const std::string &text = made.texts[i];
        // The library may also take off what ends a last message.
        const size_t common = static_cast<size_t>(
            std::mismatch(prompt.begin(), prompt.begin() + std::min(prompt.size(), text.size()), text.begin()).first -
            prompt.begin());
        if (!is_found || common > length) {
            best = i;
            length = common;
            is_found = true;
        }
    }
    if (!is_found || (length < prompt.size() && prompt.size() - length > params.generation_prompt.size())) {
        throw std::runtime_error("what was said in it cannot be told from the template");
    }
    std::vector<jinja::string_part> pieces;
    size_t left = length;
    for (const auto &part : made.prompts[best]) {
        if (left == 0) break;
        pieces.push_back(part);
        if (part.val.size() > left) pieces.back().val.resize(left);
        left -= pieces.back().val.size();
    }
    if (length == prompt.size()) return pieces;
    // The beginning of an answer, and behind it what the answer says already.
    std::string opening = prompt.substr(length);
    std::string said;
    if (request.value("continue_final_message", std::string("none")) != "none") {
        const json &message = request.at("messages").back();
        for (const char *field : {"content", "reasoning_content"}) {
            if (!message.contains(field) || !message.at(field).is_string()) continue;
            const std::string text = message.at(field).get<std::string>();
            const size_t place = text.empty() ? std::string::npos : opening.find(text);
            if (place == std::string::npos) continue;
            // Reasoning stands before the content.
            if (said.size() < opening.size() - place) said = opening.substr(place);
        }
    }
    opening.resize(opening.size() - said.size());
    if (!opening.empty()) pieces.push_back(jinja::string_part{true, opening});
    if (!said.empty()) pieces.push_back(jinja::string_part{false, said});
    return pieces;
}

common_chat_tool_choice choice_of(const json &request) {
    const std::string choice = request.value("tool_choice", std::string("auto"));
    if (choice == "required") return COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    if (choice == "none") return COMMON_CHAT_TOOL_CHOICE_NONE;
    return COMMON_CHAT_TOOL_CHOICE_AUTO;
}

common_chat_templates_inputs inputs_of(const json &request) {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    inputs.tool_choice = choice_of(request);
    inputs.parallel_tool_calls = request.value("parallel_tool_calls", false);
    if (request.contains("json_schema")) inputs.json_schema = request.at("json_schema").dump();
    if (request.contains("continue_final_message")) {
        inputs.continue_final_message = common_chat_continuation_parse(request.at("continue_final_message"));
    }
    inputs.add_generation_prompt = inputs.continue_final_message == COMMON_CHAT_CONTINUATION_NONE;
    inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    inputs.enable_thinking = request.value("enable_thinking", true);
    if (request.contains("time")) {
        inputs.now = std::chrono::system_clock::from_time_t(static_cast<std::time_t>(request.at("time").get<long>()));
    }
    if (request.contains("arguments")) {
        for (const auto &[name, value] : request.at("arguments").items()) {
            inputs.chat_template_kwargs[name] = value.dump();
        }
    }
    inputs.chat_template_kwargs[request_mark] = "true";
    return inputs;
}

std::string whole(const std::string &pattern) {
    if (pattern.empty()) return "^$";
    return (pattern.front() == '^' ? "" : "^") + pattern + (pattern.back() == '$' ? "" : "$");
}

json list_of(const std::vector<std::string> &texts) {
    json list = json::array();
    for (const auto &text : texts) list.push_back(text);
    return list;
}

/// Takes what may be said in front of a call out of a grammar: models that say much would never come to it.
void force_call(std::string &grammar) {
    const size_t start = grammar.find("root ::= ");
    if (start == std::string::npos) return;
    const size_t end = std::min(grammar.find('\n', start), grammar.size());
    static const std::regex content("until-[0-9]+\\?? (?=(space )?\\(?(tool|[a-z0-9]+-tool))");
    grammar.replace(start, end - start, std::regex_replace(grammar.substr(start, end - start), content, ""));
}

/// Leaves one call of a grammar: some formats of the library repeat calls whether or not there may be several.
void allow_one_call(std::string &grammar) {
    const size_t start = grammar.rfind("tool-calls ::= ", 0) == 0 ? 0 : grammar.find("\ntool-calls ::= ");
    if (start == std::string::npos) return;
    const size_t end = std::min(grammar.find('\n', start + 1), grammar.size());
    static const std::regex repeated("\\((tool-call\\??) space\\)\\+$");
    grammar.replace(start, end - start, std::regex_replace(grammar.substr(start, end - start), repeated, "$1 space"));
}

template <typename Body>
auto guarded(char **error, bool *is_refusal, Body body) -> decltype(body()) {
    *error = nullptr;
    if (is_refusal != nullptr) *is_refusal = false;
    try {
        return body();
    } catch (const std::exception &exception) {
        *error = template_error(exception, is_refusal);
    } catch (...) {
        *error = template_copy("an unknown error");
    }
    return nullptr;
}

}  // namespace

ct_formats *ct_formats_create(const char *source, size_t length, const char *bos, const char *eos, char **error) {
    ct_template *program = ct_template_create(source, length, bos, eos, error);
    if (program == nullptr) return nullptr;
    std::unique_ptr<ct_template, void (*)(ct_template *)> owned(program, ct_template_free);
    return guarded(error, nullptr, [&] {
        auto made = std::make_unique<ct_formats>(ct_formats{std::move(owned), nullptr});
        made->templates = common_chat_templates_init(nullptr, std::string(source, length), bos, eos);
        // The library mends a few templates; the rest of a template then is what is to be filled in.
        const std::string mended = common_chat_templates_source(made->templates.get());
        if (mended != made->program->original) {
            char *reason = nullptr;
            made->program.reset(ct_template_create(mended.data(), mended.size(), bos, eos, &reason));
            std::unique_ptr<char, void (*)(void *)> text(reason, std::free);
            if (made->program == nullptr) throw std::runtime_error(reason == nullptr ? "" : reason);
        }
        return made.release();
    });
}

void ct_formats_free(ct_formats *formats) { delete formats; }

ct_format *ct_formats_apply(const ct_formats *formats, const char *request, char **error, bool *is_refusal) {
    return guarded(error, is_refusal, [&] {
        template_check_depth(request);
        const json fields = json::parse(request);
        recording made{formats->program.get(), fields, {}, {}};
        auto format = std::make_unique<ct_format>();
        {
            // Dates are made with std::localtime, which is for one thread at a time.
            std::lock_guard<std::mutex> lock(template_dates());
            const recording_scope scope(made);
            format->params = common_chat_templates_apply(formats->templates.get(), inputs_of(fields));
        }
        format->pieces = pieces_of(made, format->params, fields);
        if (choice_of(fields) == COMMON_CHAT_TOOL_CHOICE_REQUIRED) force_call(format->params.grammar);
        if (!fields.value("parallel_tool_calls", false)) allow_one_call(format->params.grammar);
        format->parser = common_chat_parser_params(format->params);
        format->parser.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
        format->parser.is_continuation = fields.value("continue_final_message", std::string("none")) != "none";
        if (!format->params.parser.empty()) format->parser.parser.load(format->params.parser);
        return format.release();
    });
}

void ct_format_free(ct_format *format) { delete format; }

size_t ct_format_piece_count(const ct_format *format) { return format->pieces.size(); }

ct_piece ct_format_piece(const ct_format *format, size_t index) {
    const jinja::string_part &part = format->pieces[index];
    return {part.val.data(), part.val.size(), part.is_input};
}

char *ct_format_description(const ct_format *format, char **error) {
    return guarded(error, nullptr, [&] {
        const common_chat_params &params = format->params;
        json description = json::object();
        description["name"] = common_chat_format_name(params.format);
        description["grammar"] = params.grammar;
        description["is_lazy"] = params.grammar_lazy;
        description["preserved_tokens"] = list_of(params.preserved_tokens);
        description["stops"] = list_of(params.additional_stops);
        description["generation_prompt"] = params.generation_prompt;
        description["supports_thinking"] = params.supports_thinking;
        description["thinking_start"] = params.thinking_start_tag;
        description["thinking_ends"] = list_of(params.thinking_end_tags);
        return template_copy(description.dump_safe());
    });
}

char *ct_format_parse(const ct_format *format, const char *text, size_t length, bool is_partial, char **error) {
    return guarded(error, nullptr, [&] {
        const common_chat_msg message = common_chat_parse(std::string(text, length), is_partial, format->parser);
        json answer = json::object();
        answer["content"] = message.render_content();
        answer["reasoning"] = message.reasoning_content;
        json calls = json::array();
        for (const auto &call : message.tool_calls) {
            json entry = json::object();
            entry["id"] = call.id;
            entry["name"] = call.name;
            entry["arguments"] = call.arguments;
            calls.push_back(entry);
        }
        answer["calls"] = calls;
        return template_copy(answer.dump_safe());
    });
}

char *ct_schema_grammar(const char *schema, char **error) {
    return guarded(error, nullptr, [&] {
        template_check_depth(schema);
        return template_copy(json_schema_to_grammar(json::parse(schema), true));
    });
}

struct ct_triggers {
    std::vector<std::string> words;
    std::vector<std::regex> patterns;
};

ct_triggers *ct_format_triggers(const ct_format *format, char **error) {
    return guarded(error, nullptr, [&] {
        auto triggers = std::make_unique<ct_triggers>();
        for (const auto &trigger : format->params.grammar_triggers) {
            switch (trigger.type) {
                case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN: triggers->patterns.emplace_back(trigger.value); break;
                case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL: triggers->patterns.emplace_back(whole(trigger.value)); break;
                default: triggers->words.push_back(trigger.value);
            }
        }
        return triggers.release();
    });
}

void ct_triggers_free(ct_triggers *triggers) { delete triggers; }

ptrdiff_t ct_triggers_find(const ct_triggers *triggers, const char *text, size_t length) {
    try {
        const std::string_view view(text, length);
        size_t first = std::string_view::npos;
        for (const auto &word : triggers->words) first = std::min(first, view.find(word));
        // The standard library's expressions call themselves for each character.
        constexpr size_t longest = 4096;
        if (length <= longest) {
            for (const auto &pattern : triggers->patterns) {
                std::cmatch match;
                if (!std::regex_search(text, text + length, match, pattern)) continue;
                // The grammar begins with the first group that took part, or with the match.
                size_t place = static_cast<size_t>(match.position(0));
                for (size_t group = 1; group < match.size(); group++) {
                    if (match.length(group) == 0) continue;
                    place = static_cast<size_t>(match.position(group));
                    break;
                }
                first = std::min(first, place);
            }
        }
        return first == std::string_view::npos ? -1 : static_cast<ptrdiff_t>(first);
    } catch (...) {
        return -1;
    }
}
