#include "tstitch/serve/job_board.h"

#include <algorithm>
#include <new>
#include <random>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/png.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/preview.h"

namespace tstitch::serve {
namespace {

// 128 bits that nobody guesses.
std::string new_id() {
  std::random_device device;
  const auto half = [&] { return hex(uint64_t{device()} << 32 | device()); };
  return half() + half();
}

Refusal shutting_down() { return {503, "shutting_down", "the server is being ended", "", 30}; }

// What it holds: its pictures, and those that it began with.
size_t bytes_of(const Job& job) {
  const SampleOptions& options = job.plan().spec.options;
  size_t bytes = 0;
  for (const Tensor* given : {&options.init_image, &options.mask})
    if (*given) bytes += static_cast<size_t>(given->elements() * size_of(given->dtype()));
  for (const auto& picture : job.pictures()) bytes += picture->png.size();
  return bytes;
}

}  // namespace

// Steps for whoever watches; pictures with their parameters.
class JobBoard::Observer final : public RunObserver, public PictureSink {
 public:
  Observer(Active& active, Backend& backend) : active_(active), backend_(backend) {}

  void progress(const Progress& at) override {
    active_.job->begin_step(at.batch * at.steps + at.step + 1, at.batches * at.steps,
                            stage_name(active_.job->plan(), static_cast<size_t>(at.model)));
  }
  bool cancelled() override { return active_.cancelled; }
  void predicted(IndexRange, const Step&, const Tensor&, const Prediction& prediction) override {
    if (!active_.job->is_looked_at()) return;
    if (const auto image = preview_of(backend_, prediction.x0, active_.job->plan().models.back()))
      active_.job->show(base64(encode_png(*image, {})));
  }
  void add(int64_t first, const std::vector<Image>& pictures) override {
    const Plan& plan = active_.job->plan();
    for (size_t i = 0; i < pictures.size(); ++i) {
      const int64_t image = first + static_cast<int64_t>(i);
      active_.job->add({.seed = plan.spec.seed_of(image),
                        .png = encode_png(pictures[i], png_text(plan.spec, plan.models, image))});
    }
  }

 private:
  Active& active_;
  Backend& backend_;
};

JobBoard::JobBoard(std::shared_ptr<Backend> backend, const Limits& limits, Log log, Wording wording)
    : limits_(limits),
      log_(std::move(log)),
      wording_(std::move(wording)),
      backend_(std::move(backend)),
      store_(backend_, limits.memory),
      batcher_(*backend_) {}

JobBoard::~JobBoard() { close(std::chrono::milliseconds(0)); }

void JobBoard::check_room() const {
  const std::lock_guard lock(mutex_);
  check_room_now();
}

void JobBoard::check_room_now() const {
  if (closed_) throw shutting_down();
  if (queue_.size() >= limits_.queued)
    throw Refusal(429, "queue_full", concat(queue_.size(), " jobs are waiting: try again"), "", 2);
}

std::shared_ptr<Job> JobBoard::submit(std::shared_ptr<const Plan> plan, const Caller& owner) {
  store_.check_fits(plan->need);
  auto job = std::make_shared<Job>(new_id(), owner, std::move(plan));
  std::unique_lock lock(mutex_);
  check_room_now();
  queue_.push_back(job);
  arrivals_[job.get()] = ++turn_;
  start_what_fits();
  tell(lock);
  return job;
}

size_t JobBoard::next_in_queue() const {
  const auto turn_of = [&](const std::shared_ptr<Job>& job) {
    const auto last = turns_.find(job->owner());
    return std::max(arrivals_.at(job.get()), last == turns_.end() ? 0 : last->second);
  };
  return static_cast<size_t>(std::ranges::min_element(queue_, {}, turn_of) - queue_.begin());
}

// Whose turn it is waits for memory, and all others behind it: a large job must come to its turn, too.
void JobBoard::start_what_fits() {
  while (!queue_.empty() && running_.size() < limits_.running) {
    const auto place = queue_.begin() + static_cast<std::ptrdiff_t>(next_in_queue());
    const std::shared_ptr<Job> job = *place;
    const Plan& plan = job->plan();
    auto claim =
        store_.claim(plan.models, plan.used, plan.vae, static_cast<bool>(plan.spec.options.init_image),
                     plan.spec.options.backend, plan.need);
    if (!claim) return;
    queue_.erase(place);
    arrivals_.erase(job.get());
    turns_[job->owner()] = ++turn_;
    std::erase_if(turns_, [&](const auto& turn) {  // of who has nothing to wait for
      return std::ranges::none_of(queue_,
                                  [&](const auto& waiting) { return waiting->owner() == turn.first; });
    });
    auto& active = *(running_[job.get()] = std::unique_ptr<Active>(
                         new Active{.job = job, .claim = std::move(claim), .work = {}}));
    job->start();
    try {
      active.work = batcher_.start([this, &active](Evaluator& evaluator) { perform(active, evaluator); });
    } catch (const std::exception&) {  // no more threads, or memory for one
      to_tell_.push_back(
          job->end(JobStatus::failed, Refusal(503, "out_of_resources", "no thread for the job", "", 10)));
      keep(job);
      running_.erase(job.get());
    }
  }
}

void JobBoard::run(Active& active, Evaluator& evaluator) {
  const Plan& plan = active.job->plan();
  Engine engine(plan.models, backend_, plan.vae, store_);
  if (!engine.load({&plan.spec, 1}, true, [&] { return active.cancelled.load(); })) return;
  Observer observer(active, *backend_);
  const IndexRange all{0, plan.spec.images()};
  const RunResult result = engine.sample(evaluator, plan.spec, {&all, 1}, observer, &observer);
  const std::lock_guard lock(mutex_);
  statistics_.pictures += result.images;
  for (size_t i = 0; i < result.models.size(); ++i) {
    ModelTime& sum = statistics_.stages[stage_name(plan, i)];
    sum.evaluations += result.models[i].evaluations;
    sum.seconds += result.models[i].seconds;
  }
}

// On the job's thread.
void JobBoard::perform(Active& active, Evaluator& evaluator) {
  std::optional<Refusal> error;
  try {
    run(active, evaluator);
  } catch (const Error& e) {
    error = refusal_of(Error(e.kind(), wording_(e.what())));
    if (error->status >= 500) log_(concat("job ", active.job->id(), ": ", e.what()));
  } catch (const Refusal& refusal) {
    error = refusal;
  } catch (const std::bad_alloc&) {
    error = Refusal(503, "out_of_resources", "out of memory", "", 10);
  } catch (const std::exception& e) {
    error = refusal_of(Error(ErrorKind::internal, ""));
    log_(concat("job ", active.job->id(), ": ", e.what()));
  } catch (...) {  // how a cancelled job ends, which the batcher wants to see
    ended(active, JobStatus::cancelled, {});
    throw;
  }
  ended(active, active.cancelled ? JobStatus::cancelled : error ? JobStatus::failed : JobStatus::done, error);
}

// `active` is no more when it returns.
void JobBoard::ended(Active& active, JobStatus status, std::optional<Refusal> error) {
  const std::shared_ptr<Job> job = active.job;
  std::unique_lock lock(mutex_);
  if (active.handed_back) status = JobStatus::failed, error = active.handed_back;
  to_tell_.push_back(job->end(status, std::move(error)));
  keep(job);
  running_.erase(job.get());
  start_what_fits();
  tell(lock);
}

void JobBoard::tell(std::unique_lock<std::mutex>& lock) {
  const auto calls = std::exchange(to_tell_, {});
  ++telling_;
  lock.unlock();
  for (const auto& call : calls) try {
      call();
    } catch (const std::exception& e) {  // no memory for an answer: its connection ends with what holds it
      log_(concat("an answer could not be made: ", e.what()));
    }
  lock.lock();
  --telling_;
  changed_.notify_all();
}

void JobBoard::keep(const std::shared_ptr<Job>& job) {
  const JobStatus status = job->state().status;
  ++statistics_.ended[static_cast<size_t>(status)];
  const size_t bytes = bytes_of(*job);
  kept_.push_back({job, Job::Clock::now(), bytes});
  kept_bytes_ += bytes;
  forget_old();
}

void JobBoard::forget_old() const {
  constexpr size_t kMostForgotten = 10'000;
  const auto oldest = Job::Clock::now() - limits_.keep;
  while (!kept_.empty() &&
         (kept_[0].ended < oldest || kept_.size() > limits_.kept || kept_bytes_ > limits_.kept_bytes)) {
    kept_bytes_ -= kept_[0].bytes;
    forgotten_.push_back(kept_[0].job->id());
    kept_.pop_front();
  }
  while (forgotten_.size() > kMostForgotten) forgotten_.pop_front();
}

std::shared_ptr<Job> JobBoard::find(const std::string& id, const Caller& owner) const {
  const std::lock_guard lock(mutex_);
  forget_old();
  const auto is_it = [&](const Job& job) { return job.id() == id && job.owner().key == owner.key; };
  for (const auto& job : queue_)
    if (is_it(*job)) return job;
  for (const auto& [job, active] : running_)
    if (is_it(*job)) return active->job;
  for (const Kept& kept : kept_)
    if (is_it(*kept.job)) return kept.job;
  if (std::ranges::count(forgotten_, id))
    throw Refusal(410, "job_expired", "the job has ended and its pictures are no longer kept", "id");
  throw Refusal(404, "job_not_found", "there is no such job", "id");
}

std::vector<std::shared_ptr<Job>> JobBoard::active(const Caller& owner) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> jobs;
  for (const auto& [job, active] : running_)
    if (job->owner() == owner) jobs.push_back(active->job);
  std::ranges::sort(jobs, {}, &Job::accepted);
  for (const auto& job : queue_)
    if (job->owner() == owner) jobs.push_back(job);
  return jobs;
}

bool JobBoard::cancel(const std::shared_ptr<Job>& job) {
  std::unique_lock lock(mutex_);
  if (std::erase(queue_, job) > 0) {
    arrivals_.erase(job.get());
    to_tell_.push_back(job->end(JobStatus::cancelled));
    keep(job);
    start_what_fits();  // it may have been the one that waited for memory
    tell(lock);
    return true;
  }
  const auto running = running_.find(job.get());
  if (running == running_.end()) return false;
  running->second->cancelled = true;
  running->second->work->cancel();
  return true;
}

void JobBoard::close(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  for (const auto& job : std::exchange(queue_, {})) {
    to_tell_.push_back(job->end(JobStatus::failed, shutting_down()));
    keep(job);
  }
  arrivals_.clear();
  tell(lock);
  const auto all_ended = [&] { return running_.empty() && telling_ == 0; };
  if (changed_.wait_for(lock, patience, all_ended)) return;
  for (const auto& [job, active] : running_) {
    active->handed_back = shutting_down();
    active->cancelled = true;
    active->work->cancel();
  }
  changed_.wait(lock, all_ended);
}

bool JobBoard::is_closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

JobBoard::Statistics JobBoard::statistics() const {
  const std::lock_guard lock(mutex_);
  forget_old();
  Statistics s = statistics_;
  s.queued = queue_.size();
  s.running = running_.size();
  s.kept = kept_.size();
  s.kept_bytes = kept_bytes_;
  s.evaluations = batcher_.counts();
  return s;
}

}  // namespace tstitch::serve
