// The parts of llama.cpp that LlamaHost uses. The headers come from scripts/bootstrap or the system.
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml-rpc.h>
#include <ggml.h>
#include <llama.h>
