#include "tstitch/serve/job.h"

#include <utility>

namespace tstitch::serve {

std::string_view name_of(JobStatus status) {
  switch (status) {
    case JobStatus::queued:
      return "queued";
    case JobStatus::running:
      return "running";
    case JobStatus::done:
      return "done";
    case JobStatus::failed:
      return "failed";
    case JobStatus::cancelled:
      break;
  }
  return "cancelled";
}

Job::Job(std::string id, Caller owner, std::shared_ptr<const Plan> plan)
    : id_(std::move(id)), owner_(std::move(owner)), plan_(std::move(plan)), notes_(plan_->notes) {
  const RunSpec& spec = plan_->spec;
  const int64_t batch = spec.options.batch_size;
  state_.steps = spec.trajectory.size() * ((spec.images() + batch - 1) / batch);
}

JobState Job::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::vector<std::shared_ptr<const FinishedPicture>> Job::pictures() const {
  const std::lock_guard lock(mutex_);
  return state_.status == JobStatus::done ? pictures_ : decltype(pictures_)();
}

double Job::seconds() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration<double>((state_.ended() ? ended_ : Clock::now()) - accepted_).count();
}

uint64_t Job::watch(Watcher watcher) {
  std::unique_lock lock(mutex_);
  const uint64_t number = ++watched_;
  const JobState state = state_;
  if (state.ended()) {
    lock.unlock();
    watcher(state);
    return number;
  }
  watcher(state);
  watchers_.emplace(number, std::move(watcher));
  return number;
}

void Job::unwatch(uint64_t number) {
  const std::lock_guard lock(mutex_);
  watchers_.erase(number);
}

void Job::tell() {
  for (const auto& [number, watcher] : watchers_) try {
      watcher(state_);
    } catch (const std::exception&) {  // no memory for saying so: there is more to come
    }
}

void Job::start() {
  const std::lock_guard lock(mutex_);
  state_.status = JobStatus::running;
  tell();
}

void Job::begin_step(int64_t step, int64_t steps, const std::string& stage) {
  const std::lock_guard lock(mutex_);
  state_.step = step;
  state_.steps = steps;
  state_.stage = stage;
  tell();
}

void Job::show(std::string preview) {
  const std::lock_guard lock(mutex_);
  state_.preview = std::make_shared<const std::string>(std::move(preview));
}

void Job::add(FinishedPicture picture) {
  const std::lock_guard lock(mutex_);
  pictures_.push_back(std::make_shared<const FinishedPicture>(std::move(picture)));
}

void Job::end(JobStatus status, std::optional<Refusal> error) noexcept {
  std::shared_ptr<const Plan> plan;  // goes without the lock
  const std::lock_guard lock(mutex_);
  state_.status = status;
  state_.error = std::move(error);
  state_.preview = nullptr;
  ended_ = Clock::now();
  if (status != JobStatus::done) pictures_.clear();
  plan = std::exchange(plan_, nullptr);
}

int Job::tell_of_end() noexcept {
  std::map<uint64_t, Watcher> watchers;
  {
    const std::lock_guard lock(mutex_);
    watchers.swap(watchers_);
  }
  int lost = 0;
  for (const auto& [number, watcher] : watchers) try {
      watcher(state());
    } catch (const std::exception&) {
      ++lost;
    }
  return lost;
}

}  // namespace tstitch::serve
