#include "tstitch/text/lora_tags.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"

namespace tstitch {
namespace {

// The second is for files of LyCORIS's forms, of which each is known by its tensors.
constexpr std::string_view kOpenings[] = {"<lora:", "<lyco:"};

}  // namespace

std::string_view find_tag(std::string_view prompt, std::string_view opening) {
  const size_t begin = prompt.find(opening);
  if (begin == prompt.npos) return {};
  const size_t end = prompt.find('>', begin);
  return prompt.substr(begin, end == prompt.npos ? end : end + 1 - begin);
}

std::string_view find_lora_tag(std::string_view prompt) {
  std::string_view first;
  for (const std::string_view opening : kOpenings) {
    const std::string_view found = find_tag(prompt, opening);
    if (first.empty() || (!found.empty() && found.data() < first.data())) first = found;
  }
  return first;
}

std::vector<LoraTag> take_lora_tags(std::string& prompt) {
  std::vector<LoraTag> tags;
  for (;;) {
    const std::string_view found = find_lora_tag(prompt);
    if (found.empty()) return tags;
    check(found.ends_with('>'), ErrorKind::usage, "the prompt has \"", printable(std::string(found), 60),
          "\", expected <lora:NAME:WEIGHT>");
    const size_t begin = found.find(':') + 1;
    const std::string inner(found.substr(begin, found.size() - begin - 1));
    const size_t colon = std::min(inner.find(':'), inner.size());
    LoraTag tag{.name = inner.substr(0, colon)};
    check(!tag.name.empty(), ErrorKind::usage, "the prompt has \"", printable(std::string(found), 60),
          "\", expected <lora:NAME:WEIGHT>");
    if (colon < inner.size())
      tag.weight = read_number<double>(concat("the weight of \"", printable(std::string(found), 60), "\""),
                                       inner.substr(colon + 1));
    tags.push_back(tag);
    prompt.erase(static_cast<size_t>(found.data() - prompt.data()), found.size());
  }
}

}  // namespace tstitch
