#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/engine/run_spec.h"
#include "tstitch/output/picture_output.h"
#include "tstitch/output/rank.h"

namespace tstitch {

// Whether a run into it can be continued and shared by ranks: folders and .npz files.
bool is_resumable(const std::string& path);

// How a run's pictures go to the disk.
struct OutputOptions {
  std::string path;  // a .png, a .npz, or a folder/
  Rank rank;
  bool resume = false;
  bool metadata = true;  // say in .png files how they were made
  // Called now and then while the models are read for what tells runs apart; what it throws ends the work.
  std::function<void()> between = [] {};
};

// The output, with what an earlier run has left there. vae: see autoencoder_path. spec and models must
// outlive it. Throws Error{usage} for `resume` or ranks where the output is a single picture, and what
// PictureFolder and PictureArchive throw.
std::unique_ptr<PictureOutput> open_output(const OutputOptions& options, const RunSpec& spec,
                                           const std::vector<ModelInfo>& models, const std::string& vae,
                                           const Backend& backend);

}  // namespace tstitch
