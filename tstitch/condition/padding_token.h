#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tstitch {

// The id that the tokenizer in transformers' layout pads with: of ".../text_encoder" that is ".../tokenizer",
// of ".../text_encoder_2" ".../tokenizer_2". Nothing where no file there says it. Throws Error{input} for a
// token that is not one of CLIP's.
std::optional<int32_t> find_padding(const std::string& text_encoder);

}  // namespace tstitch
