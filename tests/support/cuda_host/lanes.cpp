#include "lanes.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Saves what a call preserves and its stack in *from, and goes on where `to` was saved (System V, x86-64).
extern "C" void switch_stacks(void** from, void* to);
asm(R"(
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
)");

namespace tstitch::cuda {
namespace {

constexpr size_t kStackBytes = size_t{1} << 16;

struct Lane {
  std::unique_ptr<std::byte[]> stack;
  void* at = nullptr;      // where it goes on
  void* shadow = nullptr;  // ASan's, of its stack
  bool done = true;
  int met = 0;         // barriers and shuffles so far
  float mail[2] = {};  // two boxes: what is sent next never covers what is not read yet
};

struct State {
  std::deque<Lane> lanes;
  void* main = nullptr;
  void* main_shadow = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
  int size = 0, now = 0;
  int64_t row = 0;
  std::vector<float> scratch;
  void (*body)(const void*, const Block&) = nullptr;
  const void* kernel = nullptr;
  LaneOrder order = LaneOrder::forward;
};
thread_local State state;

void enter(Lane& lane) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&state.main_shadow, lane.stack.get(), kStackBytes);
#endif
  switch_stacks(&state.main, lane.at);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(state.main_shadow, nullptr, nullptr);
#endif
}

// Lets the others run until the next round.
void rest() {
  Lane& lane = state.lanes[static_cast<size_t>(state.now)];
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&lane.shadow, state.main_stack, state.main_stack_bytes);
#endif
  switch_stacks(&lane.at, state.main);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(lane.shadow, &state.main_stack, &state.main_stack_bytes);
#endif
}

void live() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &state.main_stack, &state.main_stack_bytes);
#endif
  for (;;) {
    state.body(state.kernel, Block{});
    state.lanes[static_cast<size_t>(state.now)].done = true;
    rest();
  }
}

void give_stack(Lane& lane) {
  lane.stack = std::make_unique<std::byte[]>(kStackBytes);
  const auto top = (reinterpret_cast<uintptr_t>(lane.stack.get()) + kStackBytes) & ~uintptr_t{15};
  void** words = reinterpret_cast<void**>(top);
  words[-2] = reinterpret_cast<void*>(&live);  // what `ret` finds, with the stack aligned as after a call
  lane.at = words - 8;                         // below it the six registers
}

}  // namespace

int Block::rank() const { return state.now; }
int Block::size() const { return state.size; }
int64_t Block::row() const { return state.row; }
float* Block::scratch() const { return state.scratch.data(); }

void Block::barrier() const {
  ++state.lanes[static_cast<size_t>(state.now)].met;
  rest();
}

float Block::shuffle_xor(float x, int mask) const {
  const int i = state.now;
  Lane& lane = state.lanes[static_cast<size_t>(i)];
  const int mail = lane.met++ & 1;
  lane.mail[mail] = x;
  rest();
  return state.lanes[static_cast<size_t>(i ^ mask)].mail[mail];
}

void set_lane_order(LaneOrder order) { state.order = order; }

int64_t turn(int64_t i, int64_t count) {
  switch (state.order) {
    case LaneOrder::forward:
      return i;
    case LaneOrder::backward:
      return count - 1 - i;
    case LaneOrder::mixed:
      break;
  }
  // A stride without a common factor visits everybody, far from its neighbours.
  int64_t stride = count / 2 + 1;
  while (std::gcd(stride, count) != 1) ++stride;
  return i * stride % count;
}

void run_block(int64_t row, int lanes, int scratch, void (*body)(const void*, const Block&),
               const void* kernel) {
  if (lanes % kWarp != 0 || lanes <= 0 || lanes > kMostLanes) throw std::logic_error("lanes of a block");
  while (state.lanes.size() < static_cast<size_t>(lanes)) give_stack(state.lanes.emplace_back());
  state.row = row;
  state.size = lanes;
  state.body = body;
  state.kernel = kernel;
  state.scratch.assign(static_cast<size_t>(scratch), std::numeric_limits<float>::quiet_NaN());
  for (int i = 0; i < lanes; ++i) {
    state.lanes[static_cast<size_t>(i)].done = false;
    state.lanes[static_cast<size_t>(i)].met = 0;
  }
  for (int waiting = lanes; waiting;) {
    for (int64_t k = 0; k < lanes; ++k) {
      state.now = static_cast<int>(turn(k, lanes));
      if (Lane& lane = state.lanes[static_cast<size_t>(state.now)]; !lane.done) enter(lane);
    }
    waiting = static_cast<int>(std::count_if(state.lanes.begin(), state.lanes.begin() + lanes,
                                             [](const Lane& lane) { return !lane.done; }));
    if (waiting % lanes) throw std::logic_error("some lanes wait where others never come");
    const int met = state.lanes[0].met;
    if (std::any_of(state.lanes.begin(), state.lanes.begin() + lanes,
                    [&](const Lane& lane) { return lane.met != met; }))
      throw std::logic_error("lanes wait at different places");
  }
}

}  // namespace tstitch::cuda
