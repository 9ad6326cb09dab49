#pragma once

#include <span>
#include <string_view>

namespace tstitch {

// The 1000 classes of ImageNet-1k (ILSVRC 2012), in the order of their numbers: WordNet's names of the
// synset, separated by ", ", the usual one first: "tench, Tinca tinca". Several classes may share a name.
std::span<const std::string_view> imagenet_classes();

}  // namespace tstitch
