// What llama.cpp's generator of tiny models says goes to standard output.
#pragma once
#include "ggml.h"

#include <cstdio>

#define LOG_LEVEL_DEBUG 5
#define LOG_LEVEL_ERROR 1
#define LOG(...) printf(__VA_ARGS__)
#define LOG_INF(...) printf(__VA_ARGS__)
#define LOG_ERR(...) fprintf(stderr, __VA_ARGS__)
#define LOG_WRN(...) fprintf(stderr, __VA_ARGS__)

static inline int common_log_get_verbosity(ggml_log_level) { return LOG_LEVEL_DEBUG; }
static inline void common_log_set_verbosity_thold(int) {}
static inline void * common_log_main() { return nullptr; }
static inline void common_log_flush(void *) {}
