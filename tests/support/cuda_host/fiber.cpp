#include "fiber.h"

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(TSTITCH_KERNELS_UNDER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

// Saves what a call preserves and its stack in *from, and goes on where `to` was saved.
extern "C" void switch_stacks(void** from, void* to);
asm(R"(
.pushsection .text
.globl switch_stacks
.type switch_stacks, @function
switch_stacks:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.popsection
)");

namespace tstitch::cuda {
namespace {

constexpr size_t kStackBytes = size_t{1} << 16;

// Who entered, and the fiber that runs.
struct Turn {
  Fiber* fiber = nullptr;
  void* at = nullptr;
  void* shadow = nullptr;
  const void* stack = nullptr;
  size_t stack_bytes = 0;
  void* thread = nullptr;
};
thread_local Turn turn;

}  // namespace

Fiber::Fiber(void (*run)()) : run_(run), stack_(std::make_unique<std::byte[]>(kStackBytes)) {
  const auto top = (reinterpret_cast<uintptr_t>(stack_.get()) + kStackBytes) & ~uintptr_t{15};
  void** words = reinterpret_cast<void**>(top);
  words[-2] = reinterpret_cast<void*>(&start);  // what `ret` finds, with the stack aligned as after a call
  at_ = words - 8;                              // below it the six registers
#if defined(TSTITCH_KERNELS_UNDER_TSAN)
  thread_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(TSTITCH_KERNELS_UNDER_TSAN)
  __tsan_destroy_fiber(thread_);
#endif
}

void Fiber::start() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &turn.stack, &turn.stack_bytes);
#endif
  turn.fiber->run_();
}

void Fiber::enter() {
  turn.fiber = this;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&turn.shadow, stack_.get(), kStackBytes);
#endif
#if defined(TSTITCH_KERNELS_UNDER_TSAN)
  turn.thread = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_, __tsan_switch_to_fiber_no_sync);
#endif
  switch_stacks(&turn.at, at_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(turn.shadow, nullptr, nullptr);
#endif
}

void Fiber::rest() {
  Fiber& fiber = *turn.fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fiber.shadow_, turn.stack, turn.stack_bytes);
#endif
#if defined(TSTITCH_KERNELS_UNDER_TSAN)
  __tsan_switch_to_fiber(turn.thread, __tsan_switch_to_fiber_no_sync);
#endif
  switch_stacks(&fiber.at_, turn.at);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.shadow_, &turn.stack, &turn.stack_bytes);
#endif
}

}  // namespace tstitch::cuda
