// What the files behind the C interface share.

#pragma once

#include "template_text.h"

#include <exception>
#include <mutex>
#include <string>

struct ct_template {
    /// As it was given.
    std::string original;
    /// As it is executed.
    std::string source;
    jinja::program program;
    jinja::value literals;
    jinja::value bos, eos;
    bool wants_parts = false;
    /// Whether it asks for the date: the engine does so with std::localtime, which is for one thread at a time.
    bool has_dates = false;
};

/// A text that C code frees; null where there is no memory for it.
char *template_copy(const std::string &text);

/// What went wrong, in one line; `is_refusal` may be null and tells whether the template itself raised it.
char *template_error(const std::exception &error, bool *is_refusal);

/// Throws std::runtime_error for values that are nested too deeply: the engine calls itself for each level.
void template_check_depth(const char *json);

/// Held where a template may ask for the date.
std::mutex &template_dates();
