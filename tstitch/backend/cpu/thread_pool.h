// Threads that share out short loops.
//
// Not OpenMP: its loops end in a barrier of all threads, and a small model has a hundred of them per
// evaluation. When any other process wants a processor, each barrier waits for a thread that is not running;
// measured, an evaluation of the small demo model then takes 160-370 ms instead of 7 (docs/performance.md).
// Here the caller works too and waits only for items that somebody has begun: a thread that is put aside
// between items holds up nobody.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace tstitch::cpu {

class ThreadPool {
 public:
  using Function = void (*)(const void* context, int64_t item, int thread);

  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // function(context, item, thread) for 0 <= item < items on up to `threads` threads, the caller being thread
  // 0. Items are taken one after the other by whoever is free. Returns when all are done. The function may
  // not throw. Two calls at once take turns; one from within an item works alone.
  void run(int threads, int64_t items, Function function, const void* context);

 private:
  void work(int thread);     // what a worker does for its life
  bool run_one(int thread);  // takes and runs one item; false when there is none to take
  void grow(int workers);

  std::mutex callers_;
  std::vector<std::jthread> workers_;
  std::atomic<bool> stop_ = false;

  // The job. It may only be read between loading a ticket and exchanging that very ticket for the next one:
  // the ticket changes whenever the job does, so that an exchange that succeeds proves the job was read
  // whole.
  std::atomic<Function> function_ = nullptr;
  std::atomic<const void*> context_ = nullptr;
  std::atomic<uint32_t> items_ = 0;
  std::atomic<int> threads_ = 0;

  std::atomic<uint64_t> ticket_ = 0;  // number of the job << 32 | next item
  std::atomic<uint32_t> done_ = 0;    // items finished
  std::atomic<uint32_t> jobs_ = 0;    // what sleeping workers watch
};

// The threads of the process.
ThreadPool& thread_pool();

}  // namespace tstitch::cpu
