// A function with a stack of its own, run in turn with whoever enters it (System V, x86-64).
//
// ASan and TSan are told of every switch. To TSan each fiber is a thread and a switch orders nothing: what
// orders their work says whoever made them.
#pragma once

#include <cstddef>
#include <memory>

namespace tstitch::cuda {

class Fiber {
 public:
  explicit Fiber(void (*run)());  // never returns
  ~Fiber();
  Fiber(const Fiber&) = delete;

  void enter();        // until it rests; always from the same thread, and never from a fiber
  static void rest();  // of the fiber that runs

 private:
  static void start();

  void (*const run_)();
  const std::unique_ptr<std::byte[]> stack_;
  void* at_;                // where it goes on
  void* shadow_ = nullptr;  // ASan's, of its stack
  void* thread_ = nullptr;  // TSan's
};

}  // namespace tstitch::cuda
