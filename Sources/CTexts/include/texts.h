// Texts that are part of the program, so that it needs no files beside it. Texts/README.md says where they come from.

#ifndef TEXTS_H
#define TEXTS_H

#include <stddef.h>

/// Jane Austen, Persuasion, the first volume: UTF-8, `byte_count` of it, not ended by a zero byte.
const unsigned char *ra_persuasion(size_t *byte_count);

#endif
