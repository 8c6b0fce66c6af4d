// The AVX2 level: the templates over its primitives.

#include "internal.h"

#if defined(__x86_64__)

#include "simd/primitives_avx2.h"

#include "simd/kernels.h"

#pragma clang attribute pop

#endif
