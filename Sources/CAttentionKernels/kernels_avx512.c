// The AVX-512 level: the templates over its primitives.

#include "internal.h"

#if defined(__x86_64__)

#include "simd/primitives_avx512.h"

#include "simd/kernels.h"

#pragma clang attribute pop

#endif
