// What stands for NVIDIA's runtime and libraries where CudaDevice itself is tested: streams whose work is
// done when somebody waits, and graphs of it. The libraries' files (cublas_lt.cpp, cudnn.cpp) are opened as
// NVIDIA's would be.
#pragma once

#include <functional>
#include <utility>
#include <vector>

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};

struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

struct CUstream_st {
  std::vector<std::function<void()>> queue;
  CUgraph_st* recorded = nullptr;  // while work is

  void add(std::function<void()> work) { (recorded ? recorded->work : queue).push_back(std::move(work)); }
  void finish() {
    for (const auto& work : std::exchange(queue, {})) work();
  }
};
