// Where the pictures of a run go as they are finished.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/base/index_range.h"
#include "tstitch/engine/engine.h"

namespace tstitch {

class PictureOutput : public PictureSink {
 public:
  // The images that this process has to sample: its share without what an earlier run has finished.
  virtual const std::vector<IndexRange>& missing() const = 0;

  // After the last one. Returns the files written.
  virtual std::vector<std::string> finish() = 0;

  // What is there if the run ends now, and how to go on; "" when nothing is.
  virtual std::string kept() const { return ""; }
  // What a user has to do after finish(); "" when nothing.
  virtual std::string next_step() const { return ""; }
};

}  // namespace tstitch
