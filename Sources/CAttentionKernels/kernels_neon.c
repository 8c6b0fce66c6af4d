// The NEON level: the templates over its primitives.

#include "internal.h"

#if defined(__aarch64__)

#include "simd/primitives_neon.h"

#include "simd/kernels.h"

#endif
