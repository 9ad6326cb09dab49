#pragma once

#include <string>
#include <vector>

#include "tstitch/pipeline/plan.h"

namespace tstitch {

// Throws before any work is done for what writing would refuse later: Error{usage} for a name that is neither
// a .png nor a folder, Error{device} when its folder is missing or not writable.
void check_output(const std::string& path);
void check_output_file(const std::string& path);  // any file

// Writes pictures, (N, C, H, W) in [-1, 1], as a grid into a .png, or one by one into a folder as 000000.png
// ... Returns what was written.
std::vector<std::string> write_images(const std::string& path, const Tensor& pictures, const Plan& plan,
                                      const std::vector<ModelInfo>& models, int64_t images_per_class);

}  // namespace tstitch
