#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/arguments.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/output/picture_output.h"
#include "tstitch/output/rank.h"

namespace tstitch {

// Whether a run into it can be continued and shared by ranks: folders and .npz files.
bool is_resumable(const std::string& path);

// The output of that name, with what an earlier run has left there. Everything given must outlive it. Throws
// Error{usage} for --resume or ranks where the output is a single picture.
std::unique_ptr<PictureOutput> open_output(const std::string& path, const Arguments& arguments,
                                           const Rank& rank, const RunSpec& spec,
                                           const std::vector<ModelInfo>& models, const Backend& backend);

}  // namespace tstitch
