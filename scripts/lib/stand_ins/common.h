// What llama.cpp's generator of tiny models asks of its common library, as far as files are written.
#pragma once
#include "llama.h"

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

static inline void common_init() {}

// Only a comparison of back ends, which is not run here, reads batches.
struct common_batch {
  explicit common_batch(llama_context *) {}
  void add(llama_token, llama_pos, llama_seq_id, bool) {}
  void clear() {}
  llama_batch_ext * get() { return nullptr; }
};
