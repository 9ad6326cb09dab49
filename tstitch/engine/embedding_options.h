// What a user says of an embedding: --embedding PATH[:NAME].
#pragma once

#include <string>
#include <vector>

namespace tstitch {

struct EmbeddingOption {
  std::string path;
  std::string name = "";  // what prompts call it; "": as its file is called (zoo/embedding.h)

  bool operator==(const EmbeddingOption&) const = default;
};

// What stands behind the last colon is the name, unless a "/" does. Throws Error{usage} naming `option`.
EmbeddingOption parse_embedding(const std::string& option, const std::string& text);
std::string to_string(const EmbeddingOption& embedding);  // the inverse

}  // namespace tstitch
