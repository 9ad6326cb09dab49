#pragma once

#include <cstddef>
#include <span>

namespace tstitch {

// What a file that a reader cannot use turns out to be, for its error message.
struct ForeignFormat {
  const char* code;         // FMT_MISMATCH: another format of tensors or images; FMT_UNKNOWN: anything else
  const char* description;  // "an HTML page: the download was answered with a web page"
};

// The format whose signature `bytes` begins with, or null. Only for files already refused: the length of a
// safetensors header may look like any signature.
const ForeignFormat* recognise(std::span<const std::byte> bytes);

}  // namespace tstitch
