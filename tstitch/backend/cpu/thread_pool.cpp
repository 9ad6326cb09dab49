#include "tstitch/backend/cpu/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "tstitch/base/error.h"

namespace tstitch::cpu {
namespace {

// How often to look again before sleeping: some 20 microseconds, about what the system takes to wake a
// thread.
constexpr int kSpins = 500;

thread_local bool in_item = false;

inline void pause() { __builtin_ia32_pause(); }

// Returns when `value` is no longer `old`, after watching it for a while and then sleeping.
void wait_for_change(std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::~ThreadPool() {
  stop_ = true;
  jobs_.fetch_add(1);
  jobs_.notify_all();
}

void ThreadPool::grow(int workers) {
  for (int i = static_cast<int>(workers_.size()); i < workers; ++i) try {
      workers_.emplace_back([this, i] { work(i + 1); });
    } catch (const std::system_error& error) {
      fail(ErrorKind::device, "[RES_THREADS] the system starts only ", i + 1, " of ", workers + 1,
           " threads: ", error.code().message(), "; ask for fewer (--threads)");
    }
}

void ThreadPool::run(int threads, int64_t items, Function function, const void* context) {
  if (threads <= 1 || items <= 1 || in_item) {
    for (int64_t i = 0; i < items; ++i) function(context, i, 0);
    return;
  }
  // One after the other, each with all threads: a caller with little to do must not leave another, for a long
  // loop, with one.
  const std::lock_guard turn(callers_);
  check_internal(items < UINT32_MAX, items, " items in one loop");
  grow(threads - 1);

  // A ticket past every item closes the old job while its parts are replaced.
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(job << 32 | UINT32_MAX);
  function_.store(function);
  context_.store(context);
  items_.store(static_cast<uint32_t>(items));
  threads_.store(threads);
  done_.store(0);
  ticket_.store((job + 1) << 32);
  jobs_.fetch_add(1);
  jobs_.notify_all();

  while (run_one(0)) {
  }
  for (uint32_t done = done_.load(); done != items; done = done_.load()) wait_for_change(done_, done);
}

bool ThreadPool::run_one(int thread) {
  uint64_t ticket = ticket_.load();
  while (true) {
    const Function function = function_.load();
    const void* context = context_.load();
    const uint32_t items = items_.load();
    const auto item = static_cast<uint32_t>(ticket);
    if (item >= items || thread >= threads_.load()) return false;
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;
    in_item = true;
    function(context, item, thread);
    in_item = false;
    if (done_.fetch_add(1) + 1 == items) done_.notify_one();
    return true;
  }
}

void ThreadPool::work(int thread) {
  while (!stop_) {
    const uint32_t seen = jobs_.load();
    while (run_one(thread)) {
    }
    if (!stop_) wait_for_change(jobs_, seen);
  }
}

ThreadPool& thread_pool() {
  static ThreadPool pool;
  return pool;
}

}  // namespace tstitch::cpu
