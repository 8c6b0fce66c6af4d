#include "texts.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char persuasion[] = {
#embed "../../Texts/persuasion.txt"
};

const unsigned char *ra_persuasion(size_t *byte_count) {
  *byte_count = sizeof persuasion;
  return persuasion;
}
