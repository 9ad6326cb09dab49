#include "tstitch/engine/embedding_options.h"

#include "tstitch/base/error.h"

namespace tstitch {

EmbeddingOption parse_embedding(const std::string& option, const std::string& text) {
  EmbeddingOption embedding{.path = text};
  const size_t colon = text.rfind(':');
  const bool named = colon != text.npos && text.find('/', colon) == text.npos;
  if (named) embedding = {.path = text.substr(0, colon), .name = text.substr(colon + 1)};
  check(!embedding.path.empty() && !(named && embedding.name.find_first_not_of(' ') == embedding.name.npos),
        ErrorKind::usage, option, " is \"", printable(text), "\", expected PATH or PATH:NAME");
  return embedding;
}

std::string to_string(const EmbeddingOption& embedding) {
  return embedding.name.empty() ? embedding.path : concat(embedding.path, ':', embedding.name);
}

}  // namespace tstitch
