#include "tstitch/text/word_edges.h"

#include <unicode/uchar.h>

#include "tstitch/text/utf8_next.h"

namespace tstitch {
namespace {

bool is_word_character(UChar32 c) {
  return c == '_' || (U_GET_GC_MASK(c) & (U_GC_L_MASK | U_GC_N_MASK)) != 0;
}

}  // namespace

bool begins_with_word(std::string_view text) {
  size_t at = 0;
  return !text.empty() && is_word_character(utf8_next(text, at));
}

bool ends_with_word(std::string_view text) {
  size_t last = text.size();
  while (last > 0 && U8_IS_TRAIL(text[--last])) {
  }
  return begins_with_word(text.substr(last));
}

}  // namespace tstitch
