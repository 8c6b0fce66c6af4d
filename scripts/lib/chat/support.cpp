// What the chat library takes from the rest of llama.cpp. It is used without a model here: templates come as texts.

#include "common.h"
#include "log.h"

#include <stdexcept>

// Nothing is printed; what goes wrong is thrown.

int common_log_get_verbosity_thold() { return -1; }
struct common_log *common_log_main() { return nullptr; }
void common_log_add(struct common_log *, enum ggml_log_level, const char *, ...) {}

std::string string_join(const std::vector<std::string> &values, const std::string &separator) {
    std::string result;
    for (size_t i = 0; i < values.size(); i++) {
        if (i > 0) result += separator;
        result += values[i];
    }
    return result;
}

std::vector<std::string> string_split(const std::string &text, const std::string &delimiter) {
    std::vector<std::string> parts;
    size_t start = 0;
    for (size_t end; (end = text.find(delimiter, start)) != std::string::npos; start = end + delimiter.size()) {
        parts.push_back(text.substr(start, end - start));
    }
    parts.push_back(text.substr(start));
    return parts;
}

std::string string_repeat(const std::string &text, size_t count) {
    std::string result;
    result.reserve(text.size() * count);
    for (size_t i = 0; i < count; i++) result += text;
    return result;
}

void string_replace_all(std::string &text, const std::string &search, const std::string &replacement) {
    if (search.empty()) return;
    for (size_t place = 0; (place = text.find(search, place)) != std::string::npos; place += replacement.size()) {
        text.replace(place, search.size(), replacement);
    }
}

// The build names the host's functions so, all of which take a model.

namespace {

[[noreturn]] void refuse() { throw std::logic_error("the chat library is used without a model"); }

}  // namespace

std::string common_token_to_piece(const struct llama_vocab *, llama_token, bool) { refuse(); }

std::vector<llama_token> common_tokenize(const struct llama_vocab *, const std::string &, bool, bool) { refuse(); }

int32_t llama_chat_apply_template(
    const char *, const struct llama_chat_message *, size_t, bool, char *, int32_t) { refuse(); }

const char *llama_model_chat_template(const struct llama_model *, const char *) { refuse(); }
const struct llama_vocab *llama_model_get_vocab(const struct llama_model *) { refuse(); }
llama_token llama_vocab_bos(const struct llama_vocab *) { refuse(); }
llama_token llama_vocab_eos(const struct llama_vocab *) { refuse(); }
bool llama_vocab_get_add_bos(const struct llama_vocab *) { refuse(); }
bool llama_vocab_get_add_eos(const struct llama_vocab *) { refuse(); }

void ggml_abort(const char *file, int line, const char *, ...) {
    throw std::logic_error("an assertion failed in " + std::string(file) + ", line " + std::to_string(line));
}
