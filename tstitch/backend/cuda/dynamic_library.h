// A shared library that is opened when it is needed, so that the program starts without it.
#pragma once

#include <string>

namespace tstitch::cuda {

class DynamicLibrary {
 public:
  // Opens the first that is there: `name` in the folders of the environment's TSTITCH_CUDA_LIBRARIES, which
  // have colons between them; where the system looks; in /usr/local/cuda/lib64. Throws Error{device} with
  // what was looked for and where. Never closed: NVIDIA's libraries leave threads and handlers behind.
  explicit DynamicLibrary(const std::string& name);

  // A function of it, as whatever type it is asked for.
  struct Symbol {
    void* at;
    template <class Function>
    operator Function*() const {
      return reinterpret_cast<Function*>(at);
    }
  };
  // Throws Error{device} when there is none of that name.
  Symbol operator[](const char* symbol) const;

  const std::string& path() const { return path_; }  // as it was opened

 private:
  std::string path_;
  void* handle_ = nullptr;
};

}  // namespace tstitch::cuda
