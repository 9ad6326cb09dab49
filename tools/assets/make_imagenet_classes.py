"""Writes tstitch/condition/imagenet_classes.cpp, the names of the 1000 classes of ImageNet-1k.

    pip download --no-deps timm==1.0.31 && unzip timm-*.whl 'timm/data/_info/*'
    python3 tools/assets/make_imagenet_classes.py timm/data/_info

timm (Apache-2.0) lists the classes as WordNet synsets in the order of their numbers, and WordNet's names for each synset.
"""
import os
import sys

TARGET = os.path.join(os.path.dirname(__file__), "..", "..", "tstitch", "condition", "imagenet_classes.cpp")
HEAD = """// Made by tools/assets/make_imagenet_classes.py from timm 1.0.31 (Apache-2.0). The names are WordNet's (WordNet 3.0,
// copyright 2006 by Princeton University, https://wordnet.princeton.edu/license-and-commercial-use).
#include "tstitch/condition/imagenet_classes.h"

namespace tstitch {
namespace {

// clang-format off
constexpr std::string_view kClasses[] = {
"""
TAIL = """};
// clang-format on

}  // namespace

std::span<const std::string_view> imagenet_classes() { return kClasses; }

}  // namespace tstitch
"""


def main(folder):
    with open(os.path.join(folder, "imagenet_synset_to_lemma.txt")) as file:
        names = dict(line.rstrip("\n").split("\t") for line in file)
    with open(os.path.join(folder, "imagenet_synsets.txt")) as file:
        classes = [names[line.strip()] for line in file]
    assert len(classes) == 1000 and all(name.isascii() and '"' not in name and "\\" not in name for name in classes)
    with open(TARGET, "w") as file:
        file.write(HEAD + "".join(f'    "{name}",\n' for name in classes) + TAIL)


if __name__ == "__main__":
    main(sys.argv[1])
