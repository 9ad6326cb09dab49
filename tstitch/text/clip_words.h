#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tstitch {

// Throws Error{usage} that says at which byte when `text` is not well-formed UTF-8 or has over 1 MiB.
void check_prompt(std::string_view text);

// The words that CLIP's byte-pair encoding runs on, in UTF-8: `text` in normalization form C and, character
// by character, in lower case (without the final sigma's own rule), cut into runs of letters, single numbers,
// runs of other characters, and the contractions 's 't 're 've 'm 'll 'd; white space separates and is
// dropped. Letters, numbers, space: Unicode's L, N, White_Space. Takes time in proportion to the length.
// Source: CLIP's simple_tokenizer, in the variant of transformers' CLIPTokenizer (5.23), and equal to that
// but for what one of the two does not know: letters and numbers newer than ICU's Unicode (ICU 72:
// Unicode 15.0), and combining marks newer than Unicode 9, which transformers leaves out of order. `text`
// must have passed check_prompt.
std::vector<std::string> clip_words(std::string_view text);

}  // namespace tstitch
