// What stands for NVIDIA's runtime and libraries where CudaDevice itself is tested: streams whose work is
// done when somebody waits, and graphs of it. The libraries' files (cublas_lt.cpp, cudnn.cpp) are opened as
// NVIDIA's would be.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "current.h"

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};

struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

struct CUstream_st {
  std::vector<std::function<void()>> queue;
  CUgraph_st* recorded = nullptr;  // while work is
  const int device = tstitch::fake::current_device();

  // What a call that queues work has to answer, of the function and of the device that is current.
  template <class Status>
  Status refusal(std::string_view call, Status of_another_device) const {
    if (tstitch::fake::current_device() != device) return of_another_device;
    return static_cast<Status>(tstitch::fake::fault(call));
  }
  void add(std::function<void()> work) { (recorded ? recorded->work : queue).push_back(std::move(work)); }
  void finish() {
    for (const auto& work : std::exchange(queue, {})) work();
  }
};
