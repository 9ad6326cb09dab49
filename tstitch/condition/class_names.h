// The classes of a model by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/zoo/model_info.h"

namespace tstitch {

class ClassNames {
 public:
  // The model's own names, or those of ImageNet-1k for a model of 1000 classes that has none; else nothing is
  // known. A name may be several, separated by ", ", the usual one first.
  explicit ClassNames(const ModelInfo& model);

  bool known() const { return !names_.empty(); }
  // The usual name of class c, or "class 7" where nothing is known.
  std::string usual(int64_t c) const;
  // With its number: "207 golden retriever", or "class 7".
  std::string numbered(int64_t c) const;

  // The number of the class called `name`, whatever the case of its letters: by its usual name, else by
  // another of its names, else by whole words of one ("boot" for "Ankle boot").
  //
  // Throws Error{usage} for a name that fits several classes, with their numbers, and for one that fits none,
  // with up to five classes whose names are written alike.
  int64_t find(const std::string& name) const;

 private:
  std::string list(const std::vector<int64_t>& classes) const;
  std::vector<int64_t> written_alike(const std::string& name) const;

  std::string model_;
  int64_t count_;
  std::vector<std::vector<std::string>> names_;  // of every class, in the order of their numbers
};

}  // namespace tstitch
