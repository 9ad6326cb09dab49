#include "tstitch/backend/cuda/dynamic_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <vector>

#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

std::vector<std::string> candidates(const std::string& name) {
  std::vector<std::string> paths;
  if (const char* folders = std::getenv("TSTITCH_CUDA_LIBRARIES")) {
    std::istringstream list(folders);
    for (std::string folder; std::getline(list, folder, ':');)
      if (!folder.empty()) paths.push_back(concat(folder, "/", name));
  }
  paths.push_back(name);
  paths.push_back(concat("/usr/local/cuda/lib64/", name));
  return paths;
}

}  // namespace

DynamicLibrary::DynamicLibrary(const std::string& name) {
  std::string reasons;
  for (const std::string& path : candidates(name)) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) {
      path_ = path;
      return;
    }
    const char* reason = dlerror();
    reasons += concat(reasons.empty() ? "" : "; ", reason ? reason : path);
  }
  fail(ErrorKind::device, "a CUDA device needs ", name, ": ", printable(reasons, 600),
       "; TSTITCH_CUDA_LIBRARIES may name the folder that has it");
}

DynamicLibrary::Symbol DynamicLibrary::operator[](const char* symbol) const {
  void* const at = dlsym(handle_, symbol);
  check(at != nullptr, ErrorKind::device, path_, " has no ", symbol, ": expected a newer version");
  return {at};
}

}  // namespace tstitch::cuda
