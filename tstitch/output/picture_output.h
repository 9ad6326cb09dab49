// Where the pictures of a run go as they are finished.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/base/index_range.h"
#include "tstitch/io/png.h"

namespace tstitch {

class PictureOutput {
 public:
  virtual ~PictureOutput() = default;

  // The images that this process has to sample: its share without what an earlier run has finished.
  virtual const std::vector<IndexRange>& missing() const = 0;

  // The pictures of consecutive images. Throws Error{device} when they cannot be written; what was added
  // before stays.
  virtual void add(int64_t first, const std::vector<Image>& pictures) = 0;

  // After the last one. Returns the files written.
  virtual std::vector<std::string> finish() = 0;

  // What is there if the run ends now, and how to go on; "" when nothing is.
  virtual std::string kept() const { return ""; }
  // What a user has to do after finish(); "" when nothing.
  virtual std::string next_step() const { return ""; }
};

}  // namespace tstitch
