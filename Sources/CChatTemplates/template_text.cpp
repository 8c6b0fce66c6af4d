#include "template_text.h"

#include <stdexcept>

using jinja::token;

namespace {

// The parser and the engine call themselves for each level, on stacks of 512 KiB.
constexpr size_t deepest_nesting = 64;

bool opens(const token &token) {
    return token.t == token::open_paren || token.t == token::open_square_bracket || token.t == token::open_curly_bracket;
}

bool closes(const token &token) {
    return token.t == token::close_paren || token.t == token::close_square_bracket ||
           token.t == token::close_curly_bracket;
}

/// Whether `set` begins a block: it does without an '='.
bool is_block(const std::vector<token> &tokens, size_t i) {
    for (; i < tokens.size() && tokens[i].t != token::close_statement; i++) {
        if (tokens[i].t == token::equals) return false;
    }
    return true;
}

void check_nesting(const std::vector<token> &tokens) {
    size_t brackets = 0, branches = 0, operators = 0;
    std::vector<size_t> blocks;  // and how many branches each has
    for (size_t i = 0; i < tokens.size(); i++) {
        const std::string &word = tokens[i].value;
        if (opens(tokens[i])) brackets++;
        if (closes(tokens[i]) && brackets > 0) brackets--;
        if (i > 0 && tokens[i - 1].t == token::open_statement) {
            if (word == "if" || word == "for" || word == "macro" || word == "call" || word == "filter" ||
                (word == "set" && is_block(tokens, i))) {
                blocks.push_back(1);
                branches++;
            } else if (word == "elif" && !blocks.empty()) {
                // A branch is within the one before it, and all end together.
                blocks.back()++;
                branches++;
            } else if (word.compare(0, 3, "end") == 0 && word != "endgeneration" && !blocks.empty()) {
                branches -= blocks.back();
                blocks.pop_back();
            }
        }
        if (tokens[i].t == token::close_statement || tokens[i].t == token::close_expression) operators = 0;
        if (tokens[i].t == token::unary_operator ||
            (tokens[i].t == token::identifier && (word == "not" || word == "else"))) {
            operators++;
        }
        if (brackets > deepest_nesting || branches > 4 * deepest_nesting || operators > 4 * deepest_nesting) {
            throw std::runtime_error("it is nested too deeply");
        }
    }
}

/// `replace` keeps the mark of the text in which something is replaced, whatever comes into it. Where that is no literal,
/// `replace(a, b)` becomes `split(a)` and `join(b)`, whose result has no mark.
class replacements {
    const std::vector<token> &tokens;

public:
    explicit replacements(const std::vector<token> &tokens) : tokens(tokens) {}

    /// Whether `replace` with a second argument that is no literal begins at `i`, and where its comma and its end are.
    bool find(size_t i, size_t &comma, size_t &end) const {
        const bool is_call = i + 2 < tokens.size() && (tokens[i].t == token::pipe || tokens[i].t == token::dot) &&
                             tokens[i + 1].t == token::identifier && tokens[i + 1].value == "replace" &&
                             tokens[i + 2].t == token::open_paren;
        if (!is_call) return false;
        size_t depth = 0;
        comma = 0;
        for (end = i + 2; end < tokens.size(); end++) {
            if (opens(tokens[end])) depth++;
            if (closes(tokens[end]) && --depth == 0) break;
            if (tokens[end].t == token::comma && depth == 1 && comma == 0) comma = end;
        }
        if (end == tokens.size() || comma == 0) return false;
        for (size_t k = comma + 1; k < end; k++) {
            if (tokens[k].t != token::string_literal) return true;
        }
        return false;
    }
};

std::vector<token> without_replacements(const std::vector<token> &tokens) {
    std::vector<token> result;
    // Where a `replace` has its comma, and what its two calls are joined by.
    std::vector<std::pair<size_t, token>> commas;
    const replacements calls(tokens);
    for (size_t i = 0; i < tokens.size(); i++) {
        size_t comma, end;
        if (calls.find(i, comma, end)) {
            const size_t pos = tokens[i + 1].pos;
            if (tokens[i].t == token::pipe) {
                // As the filter does with what is no string.
                result.push_back(tokens[i]);
                result.push_back({token::identifier, "string", pos});
            }
            result.push_back(tokens[i]);
            result.push_back({token::identifier, "split", pos});
            commas.push_back({comma, tokens[i]});
            i++;
            continue;
        }
        bool is_comma = false;
        for (const auto &place : commas) {
            if (place.first != i) continue;
            const size_t pos = tokens[i].pos;
            result.push_back({token::close_paren, ")", pos});
            result.push_back(place.second);
            result.push_back({token::identifier, "join", pos});
            result.push_back({token::open_paren, "(", pos});
            is_comma = true;
        }
        if (!is_comma) result.push_back(tokens[i]);
    }
    return result;
}

}  // namespace

jinja::value own_string(const std::string &text) {
    auto string = jinja::mk_val<jinja::value_string>(text);
    string->mark_input();
    return string;
}

template_text::template_text(const jinja::lexer_result &source) {
    check_nesting(source.tokens);
    auto list = jinja::mk_val<jinja::value_array>();
    const std::vector<token> input = without_replacements(source.tokens);
    tokens.source = source.source;
    for (size_t i = 0; i < input.size(); i++) {
        const token &token = input[i];
        const size_t pos = token.pos;
        if (token.t == token::identifier && token.value == variable) {
            throw std::runtime_error("it uses the name " + token.value);
        }
        if (token.t != token::text && token.t != token::string_literal) {
            tokens.tokens.push_back(token);
            continue;
        }
        std::string text = token.value;
        // Literals that follow each other are one.
        while (token.t == token::string_literal && i + 1 < input.size() && input[i + 1].t == token::string_literal) {
            text += input[++i].value;
        }
        const std::string index = std::to_string(list->val_arr.size());
        list->push_back(own_string(text));
        const bool is_text = token.t == token::text;
        if (is_text) tokens.tokens.push_back({token::open_expression, "{{", pos});
        tokens.tokens.push_back({token::identifier, variable, pos});
        tokens.tokens.push_back({token::open_square_bracket, "[", pos});
        tokens.tokens.push_back({token::numeric_literal, index, pos});
        tokens.tokens.push_back({token::close_square_bracket, "]", pos});
        if (is_text) tokens.tokens.push_back({token::close_expression, "}}", pos});
    }
    literals = list;
}
