#pragma once

#include <string>
#include <vector>

namespace tstitch {

// What comes with the program: small models of different size that were trained on the same data.
struct DemoFamily {
  std::vector<std::string> models;  // their names, small first
  std::vector<std::string> usual;   // those of them that a run has which names none, in order of use
  bool reads_text = false;          // paints what a text says, else what a class is
};

// The folder of the demo families: $TSTITCH_ASSETS, else beside the installed program (../share/tstitch),
// else assets/ of the source tree the program was built from. Throws Error{input} when there is none.
std::string assets_folder();

// The garments, and the family of words where it is installed; and the names of all their models.
std::vector<DemoFamily> demo_families();
std::vector<std::string> demo_models();

// The path that `name` means: itself when such a file exists or it looks like a path, else the demo model of
// that name ("fashion-s"). Throws Error{input} for any other name, with those that there are.
std::string resolve_model(const std::string& name);

// The usual models of the family that paints texts where that is asked for and it is there, else of the
// garments: {"words-s", "words-l"} or {"fashion-s", "fashion-l"}; and the paths of the latter.
std::vector<std::string> builtin_names(bool of_text = false);
std::vector<std::string> builtin_models();

}  // namespace tstitch
