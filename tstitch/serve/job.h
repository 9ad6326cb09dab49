// One request on its way to its pictures.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/serve/plan.h"
#include "tstitch/serve/refusal.h"

namespace tstitch::serve {

// Who asks: with which key, and from where. What one key has made no other may see.
struct Caller {
  std::string key, address;
  auto operator<=>(const Caller&) const = default;
};

enum class JobStatus { queued, running, done, failed, cancelled };
std::string_view name_of(JobStatus status);

struct FinishedPicture {
  uint64_t seed = 0;           // makes the picture again, alone
  std::vector<std::byte> png;  // with its parameters as text
};

// What of a job changes.
struct JobState {
  JobStatus status = JobStatus::queued;
  int64_t step = 0, steps = 0;                 // begun and all, of all its batches
  std::string stage;                           // the name of the model that serves the step
  std::shared_ptr<const std::string> preview;  // a PNG file in base64, of the step before; or none
  std::optional<Refusal> error;

  bool ended() const { return status >= JobStatus::done; }
};

class Job {
 public:
  using Clock = std::chrono::steady_clock;
  // Told of every change, from the thread that makes it; of all but the end it must not hold that up, nor ask
  // the job (but for look()).
  using Watcher = std::function<void(const JobState&)>;

  Job(std::string id, Caller owner, std::shared_ptr<const Plan> plan);

  const std::string& id() const { return id_; }
  const Caller& owner() const { return owner_; }
  // Of a job that has not ended: what it was is of no more use then, and large.
  const Plan& plan() const { return *plan_; }
  const std::vector<std::string>& notes() const { return notes_; }  // of its plan
  JobState state() const;
  // Of a job that is done; empty before.
  std::vector<std::shared_ptr<const FinishedPicture>> pictures() const;
  double seconds() const;  // since it was accepted, until it ended

  Clock::time_point accepted() const { return accepted_; }

  // Tells how things stand, and then every change up to the end, or to unwatch() with the number it returns.
  uint64_t watch(Watcher watcher);
  void unwatch(uint64_t number);

  // Somebody looks: previews are made for a while.
  void look() { looks_until_ = (Clock::now() + std::chrono::seconds(10)).time_since_epoch().count(); }
  bool is_looked_at() const { return Clock::now().time_since_epoch().count() < looks_until_; }

  // ---- for who runs it
  void show(std::string preview);
  void begin_step(int64_t step, int64_t steps, const std::string& stage);
  void add(FinishedPicture picture);
  void start();
  // Needs no memory: whatever becomes of a job, it ends.
  void end(JobStatus status, std::optional<Refusal> error = {}) noexcept;
  // Tells those who watch, of whom there are none afterwards: it may take long, and is not called under a
  // lock. Returns how many could not be told, which is for want of memory: what they hold is given up.
  int tell_of_end() noexcept;

 private:
  void tell();

  const std::string id_;
  const Caller owner_;
  std::shared_ptr<const Plan> plan_;
  const std::vector<std::string> notes_;
  const Clock::time_point accepted_ = Clock::now();
  std::atomic<Clock::rep> looks_until_ = 0;
  mutable std::mutex mutex_;
  Clock::time_point ended_{};
  JobState state_;
  std::vector<std::shared_ptr<const FinishedPicture>> pictures_;
  std::map<uint64_t, Watcher> watchers_;  // by their numbers
  uint64_t watched_ = 0;                  // how often so far
};

}  // namespace tstitch::serve
