// Included before every C++ file of llama.cpp.
//
// GCC before 12.4 and 13.3 takes the operand of _tile_loadconfig to be 8 bytes long and drops what is written to the
// other 56 (https://gcc.gnu.org/PR114098). ggml's AMX kernels then run without tiles and end in an illegal instruction.

#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#undef _tile_loadconfig
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg\t%0" ::"m"(*(const char(*)[64])(config)))
#endif
