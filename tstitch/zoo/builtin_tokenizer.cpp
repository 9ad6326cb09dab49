#include "tstitch/zoo/builtin_tokenizer.h"

#include <span>

#include "tstitch/io/file.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {

ClipTokenizer builtin_tokenizer() {
  const MappedFile file(assets_folder() + "/clip_merges.txt");
  return file.parsed([](std::span<const std::byte> bytes) {
    return ClipTokenizer({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  });
}

}  // namespace tstitch
