#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tstitch {

inline const std::vector<std::string> kCheckpointEndings = {".safetensors", ".pt", ".ckpt", ".bin", ".gguf"};

bool is_checkpoint(const std::filesystem::path& path);  // by its ending

// The files with any of those endings in the folder and below it, by their names without folder
// and ending. Throws Error{input} naming the option for a folder that cannot be read.
std::map<std::string, std::vector<std::string>> checkpoints_below(const std::string& option,
                                                                  const std::string& folder);

}  // namespace tstitch
