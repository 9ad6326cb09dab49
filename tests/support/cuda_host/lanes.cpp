#include "lanes.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "fiber.h"

#if defined(TSTITCH_KERNELS_UNDER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace tstitch::cuda {
namespace {

// What is done before release(at) is done before what comes after acquire(at).
#if defined(TSTITCH_KERNELS_UNDER_TSAN)
constexpr int kBlocksOfLanes = 4;  // each block's have fibers of their own: what one fiber does has an order
void release(void* at) { __tsan_release(at); }
void acquire(void* at) { __tsan_acquire(at); }
#else
constexpr int kBlocksOfLanes = 1;
void release(void*) {}
void acquire(void*) {}
#endif

void live();

struct Lane {
  Fiber fiber{&live};
  bool done = true;
  int met = 0;         // barriers and shuffles so far
  float mail[2] = {};  // two boxes: what is sent next never covers what is not read yet
};

struct BlockState {
  std::vector<float> scratch;
  char meeting[2] = {};  // barriers in turn: who is late at one does not see who is early at the next
};

struct State {
  std::deque<Lane> lanes;
  std::deque<BlockState> blocks;  // under TSan all of a launch: other blocks' scratch is other memory
  int size = 0, now = 0;
  int64_t row = 0;
  void (*body)(const void*, const Block&) = nullptr;
  const void* kernel = nullptr;
  LaneOrder order = LaneOrder::forward;
  char begin = 0, end = 0;  // of a launch

  Lane& lane(int64_t rank) { return lanes[static_cast<size_t>(row % kBlocksOfLanes * size + rank)]; }
};
thread_local State state;

void live() {
  for (;;) {
    acquire(&state.begin);
    state.body(state.kernel, Block{});
    release(&state.end);
    state.lane(state.now).done = true;
    Fiber::rest();
  }
}

[[noreturn]] void fail(const char* what) {
  state.lanes.clear();  // they wait in the middle of a kernel
  throw std::logic_error(what);
}

// Every lane once, until all are done.
void run_block(int64_t row, int scratch) {
  if (kBlocksOfLanes == 1) state.blocks.clear();
  state.row = row;
  state.blocks.emplace_back().scratch.assign(static_cast<size_t>(scratch),
                                             std::numeric_limits<float>::quiet_NaN());
  for (Lane& lane : state.lanes) lane.met = 0;
  for (int64_t i = 0; i < state.size; ++i) state.lane(i).done = false;
  release(&state.begin);
  for (int64_t waiting = state.size; waiting;) {
    for (int64_t k = 0; k < state.size; ++k) {
      state.now = static_cast<int>(turn(k, state.size));
      if (Lane& lane = state.lane(state.now); !lane.done) lane.fiber.enter();
    }
    waiting = std::ranges::count(state.lanes, false, &Lane::done);
    if (waiting % state.size) fail("some lanes wait where others never come");
    const int met = state.lane(0).met;
    for (int64_t i = 0; i < state.size; ++i)
      if (state.lane(i).met != met) fail("lanes wait at different places");
  }
}

}  // namespace

int Block::rank() const { return state.now; }
int Block::size() const { return state.size; }
int64_t Block::row() const { return state.row; }
float* Block::scratch() const { return state.blocks.back().scratch.data(); }

void Block::barrier() const {
  char* meeting = &state.blocks.back().meeting[state.lane(state.now).met++ & 1];
  release(meeting);
  Fiber::rest();
  acquire(meeting);
}

float Block::shuffle_xor(float x, int mask) const {
  const int i = state.now;
  Lane& lane = state.lane(i);
  const int mail = lane.met++ & 1;
  lane.mail[mail] = x;
  Fiber::rest();
  return state.lane(i ^ mask).mail[mail];
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

void run_blocks(int64_t count, int lanes, int scratch, void (*body)(const void*, const Block&),
                const void* kernel) {
  if (lanes % kWarp != 0 || lanes <= 0 || lanes > kMostLanes) throw std::logic_error("lanes of a block");
  while (state.lanes.size() < static_cast<size_t>(kBlocksOfLanes * lanes)) state.lanes.emplace_back();
  state.size = lanes;
  state.body = body;
  state.kernel = kernel;
  for (int64_t i = 0; i < count; ++i) run_block(turn(i, count), scratch);
  acquire(&state.end);
  state.blocks.clear();
}

}  // namespace tstitch::cuda
