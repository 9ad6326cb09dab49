#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/arguments.h"
#include "tstitch/pipeline/picture_output.h"
#include "tstitch/pipeline/plan.h"
#include "tstitch/pipeline/rank.h"

namespace tstitch {

// Throws before any work is done for what writing would refuse later: Error{usage} for a name that is neither
// a .png, a .npz, nor a folder, or when it is one of the inputs, Error{device} when its folder is missing or
// not writable.
void check_output(const std::string& path, const std::vector<std::string>& inputs);
void check_output_file(const std::string& path, const std::vector<std::string>& inputs = {});  // any file

// Whether a run into it can be continued and shared by ranks: folders and .npz files.
bool is_resumable(const std::string& path);

// The output of that name, with what an earlier run has left there. Everything given must outlive it. Throws
// Error{usage} for --resume or ranks where the output is a single picture.
std::unique_ptr<PictureOutput> open_output(const std::string& path, const Arguments& arguments,
                                           const Rank& rank, const Plan& plan,
                                           const std::vector<ModelInfo>& models, const Backend& backend);

}  // namespace tstitch
