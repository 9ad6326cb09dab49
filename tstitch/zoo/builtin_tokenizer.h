#pragma once

#include "tstitch/text/clip_tokenizer.h"

namespace tstitch {

// CLIP's tokenizer by the merges that come with the program. Throws Error{input} where they are not
// installed.
ClipTokenizer builtin_tokenizer();

}  // namespace tstitch
