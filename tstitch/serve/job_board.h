// All jobs of a server: those that wait, those that run, on one step batcher, and those that have ended.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tstitch/diffusion/step_batcher.h"
#include "tstitch/serve/job.h"
#include "tstitch/serve/limits.h"
#include "tstitch/serve/model_store.h"

namespace tstitch::serve {

// Jobs start in the order in which their owners' turns come: whose last job started longest ago is next, and
// none waits for ever. All that run are asked for in one loop (step_batcher.h): a job joins at the next step
// and leaves when it is done. Threads may call these at once.
class JobBoard {
 public:
  // How things stand, and counts and sums since the start.
  struct Statistics {
    size_t queued = 0, running = 0, kept = 0, kept_bytes = 0;
    std::array<int64_t, 5> ended{};  // by JobStatus
    int64_t pictures = 0;
    StepBatcher::Counts evaluations;
    std::map<std::string, ModelTime> stages;  // by the names of models
  };

  using Log = std::function<void(const std::string&)>;  // from any thread

  // What clients see of an error of a job.
  using Answer = std::function<Refusal(const Error&, const Plan&)>;

  JobBoard(
      std::shared_ptr<Backend> backend, const Limits& limits, Log log,
      Answer answer = [](const Error& error, const Plan&) { return refusal_of(error); });
  // Cancels what runs.
  ~JobBoard();

  // Throws Refusal: {429} where the queue is full, {503} once the server ends, {422} for what never fits. A
  // job that waits longer than Limits::wait fails with {503}.
  void check_room() const;
  std::shared_ptr<Job> submit(std::shared_ptr<const Plan> plan, const Caller& owner);

  // Throws Refusal: {404} for a job that never was, or is another owner's; {410} for one no longer kept.
  std::shared_ptr<Job> find(const std::string& id, const Caller& owner) const;
  // Of the owner, those that wait or run, the oldest first.
  std::vector<std::shared_ptr<Job>> active(const Caller& owner) const;
  // Ends it within one step; false where it has ended.
  bool cancel(const std::shared_ptr<Job>& job);

  // From now on nothing is accepted; what waits is handed back, and what runs may go on for so long.
  void close(std::chrono::milliseconds patience);
  bool is_closed() const;

  Statistics statistics() const;
  const ModelStore& store() const { return store_; }
  const Limits& limits() const { return limits_; }

 private:
  struct Active {
    std::shared_ptr<Job> job;
    std::unique_ptr<ModelStore::Claim> claim;
    std::shared_ptr<StepBatcher::Job> work;
    std::atomic<bool> cancelled = false;
    std::optional<Refusal> handed_back = {};  // why it was
    Refusal no_memory;                        // made before there is none
  };
  class Observer;
  struct Waiting {
    std::shared_ptr<Job> job;
    uint64_t arrival;  // the turn in which it came
  };

  // Under the mutex.
  void check_room_now() const;
  // What cannot start for want of memory goes on waiting.
  void start_what_fits() noexcept;
  bool start_next();  // false where that has to wait
  size_t next_in_queue() const;
  // The job has ended so, and those who watch it are to be told.
  void finish(const std::shared_ptr<Job>& job, JobStatus status, std::optional<Refusal> error) noexcept;
  void keep(const std::shared_ptr<Job>& job) noexcept;
  // Tells those who watch of what has ended, without the mutex meanwhile.
  void tell(std::unique_lock<std::mutex>& lock) noexcept;
  void forget_old() const;
  void hand_back_what_waited_too_long();

  void perform(Active& active, Evaluator& evaluator);
  void run(Active& active, Evaluator& evaluator);
  // error: why it failed, unless it was cancelled meanwhile.
  void ended(Active& active, std::optional<Refusal> error) noexcept;
  // Now and then looks after what nobody asks for: on a thread of its own.
  void keep_house();

  const Limits& limits_;
  const Log log_;
  const Answer answer_;
  const std::shared_ptr<Backend> backend_;
  ModelStore store_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // a job has ended
  bool closed_ = false;
  std::deque<std::shared_ptr<Job>> to_tell_;
  int telling_ = 0;
  std::deque<Waiting> queue_;  // the oldest first
  std::map<Job*, std::unique_ptr<Active>> running_;
  uint64_t turn_ = 0;
  std::map<Caller, uint64_t> turns_;  // of owners: when their last job started
  bool spare_ = false;                // memory that the allocator may have kept since the last job ended
  bool leaving_ = false;              // the housekeeper is to end
  std::condition_variable leave_;
  struct Kept {
    std::shared_ptr<Job> job;
    Job::Clock::time_point ended;
    size_t bytes;
  };
  struct Forgotten {
    std::string id, key;  // and whose it was
  };
  mutable std::deque<Kept> kept_;  // the oldest first
  mutable std::deque<Forgotten> forgotten_;
  mutable size_t kept_bytes_ = 0;
  mutable Statistics statistics_;
  std::thread housekeeper_;
  StepBatcher batcher_;  // the last: its threads use all above
};

}  // namespace tstitch::serve
