#include "tstitch/serve/job_board.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <new>
#include <random>
#include <set>
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

Refusal out_of_resources(const char* what) { return {503, "out_of_resources", what, "", 10}; }

Refusal waited_too_long(std::chrono::milliseconds limit) {
  return {
      503, "queue_timeout",
      concat("the job has waited for its turn for ", static_cast<double>(limit.count()) / 1000, " seconds"),
      "", 10};
}

// Every job has run on a thread of its own, and glibc's malloc keeps what each of them freed.
void give_back_spare_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

Refusal shutting_down() { return {503, "shutting_down", "the server is being ended", "", 30}; }

// What its requests' pictures take.
size_t bytes_of_pictures(const Plan& plan) {
  const SampleOptions& options = plan.spec.options;
  size_t bytes = 0;
  for (const Tensor* picture : {&options.init_image, &options.mask, &plan.spec.mask})
    if (*picture) bytes += static_cast<size_t>(picture->elements()) * sizeof(float);
  std::set<const Image*> counted;
  for (const auto& picture : options.hints)
    if (counted.insert(picture.get()).second) bytes += picture->pixels.size();
  return bytes;
}

size_t bytes_of(const Job& job) {
  size_t bytes = 0;
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

JobBoard::JobBoard(std::shared_ptr<Backend> backend, const Limits& limits, Log log, Answer answer)
    : limits_(limits),
      log_(std::move(log)),
      answer_(std::move(answer)),
      backend_(std::move(backend)),
      store_(backend_, limits.memory),
      batcher_(*backend_) {
  housekeeper_ = std::thread([this] { keep_house(); });
}

JobBoard::~JobBoard() {
  close(std::chrono::milliseconds(0));
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
    leave_.notify_all();
  }
  housekeeper_.join();
}

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
  const size_t own = bytes_of_pictures(job->plan());
  size_t bytes = own;
  for (const Waiting& waiting : queue_) bytes += bytes_of_pictures(waiting.job->plan());
  if (own > 0 && !queue_.empty() && bytes > limits_.queued_bytes)
    throw Refusal(429, "queue_full",
                  concat("the pictures of the jobs that wait are ", bytes >> 20,
                         " MiB with these, expected at most ", limits_.queued_bytes >> 20, ": try again"),
                  "", 2);
  queue_.push_back({job, turn_ + 1});
  ++turn_;
  start_what_fits();
  tell(lock);
  return job;
}

size_t JobBoard::next_in_queue() const {
  const auto turn_of = [&](const Waiting& waiting) {
    const auto last = turns_.find(waiting.job->owner());
    return std::max(waiting.arrival, last == turns_.end() ? 0 : last->second);
  };
  return static_cast<size_t>(std::ranges::min_element(queue_, {}, turn_of) - queue_.begin());
}

void JobBoard::start_what_fits() noexcept {
  try {
    while (!queue_.empty() && running_.size() < limits_.running && start_next()) {
    }
  } catch (const std::exception&) {  // no memory for it: keep_house() tries again
  }
}

// Whose turn it is waits for memory, and all others behind it: a large job must come to its turn, too.
bool JobBoard::start_next() {
  const auto place = queue_.begin() + static_cast<std::ptrdiff_t>(next_in_queue());
  const std::shared_ptr<Job> job = place->job;
  const Plan& plan = job->plan();
  auto claim = store_.claim(plan.models, plan.used, plan.vae, static_cast<bool>(plan.spec.options.init_image),
                            plan.spec.options.backend, plan.need);
  if (!claim) return false;
  std::unique_ptr<Active> started(new Active{
      .job = job, .claim = std::move(claim), .work = {}, .no_memory = out_of_resources("out of memory")});
  Refusal no_thread = out_of_resources("no thread for the job");
  uint64_t& turn = turns_[job->owner()];
  Active& active = *(running_[job.get()] = std::move(started));
  // Nothing fails from here on but the start of the thread.
  turn = ++turn_;
  queue_.erase(place);
  std::erase_if(turns_, [&](const auto& one) {  // of who has nothing to wait for
    return std::ranges::none_of(queue_,
                                [&](const Waiting& waiting) { return waiting.job->owner() == one.first; });
  });
  job->start();
  try {
    active.work = batcher_.start([this, &active](Evaluator& evaluator) { perform(active, evaluator); });
  } catch (const std::exception&) {  // no more threads, or memory for one
    running_.erase(job.get());
    finish(job, JobStatus::failed, std::move(no_thread));
  }
  return true;
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
    ModelTime& sum = statistics_.stages[plan.names[i]];  // whatever its form: clients say those at will
    sum.evaluations += result.models[i].evaluations;
    sum.seconds += result.models[i].seconds;
  }
}

// On the job's thread.
void JobBoard::perform(Active& active, Evaluator& evaluator) {
  std::optional<Refusal> error;
  try {
    try {
      run(active, evaluator);
    } catch (const Error& e) {
      error = answer_(e, active.job->plan());
      if (error->status >= 500) log_(concat("job ", active.job->id(), ": ", e.what()));
    } catch (const Refusal& refusal) {
      error = refusal;
    } catch (const std::bad_alloc&) {
      error = std::move(active.no_memory);
    } catch (const std::exception& e) {
      error = refusal_of(Error(ErrorKind::internal, ""));
      log_(concat("job ", active.job->id(), ": ", e.what()));
    }
  } catch (const std::exception&) {  // no memory for what was wrong
    if (!error) error = std::move(active.no_memory);
  } catch (...) {  // how a cancelled job ends, which the batcher wants to see
    active.cancelled = true;
    ended(active, {});
    throw;
  }
  ended(active, std::move(error));
}

// `active` is no more when it returns.
void JobBoard::ended(Active& active, std::optional<Refusal> error) noexcept {
  const std::shared_ptr<Job> job = active.job;
  std::unique_lock lock(mutex_);
  // Asked under the mutex: whom cancel() has told that it ends the job must not see it done.
  if (active.cancelled) error = std::move(active.handed_back);
  const JobStatus status = error              ? JobStatus::failed
                           : active.cancelled ? JobStatus::cancelled
                                              : JobStatus::done;
  running_.erase(job.get());
  finish(job, status, std::move(error));
  start_what_fits();
  tell(lock);
}

void JobBoard::finish(const std::shared_ptr<Job>& job, JobStatus status,
                      std::optional<Refusal> error) noexcept {
  job->end(status, std::move(error));
  keep(job);
  spare_ = true;
  try {
    to_tell_.push_back(job);
  } catch (const std::bad_alloc&) {  // told here, though others wait meanwhile
    job->tell_of_end();
  }
}

void JobBoard::tell(std::unique_lock<std::mutex>& lock) noexcept {
  while (!to_tell_.empty()) {
    const std::shared_ptr<Job> job = std::move(to_tell_.front());
    to_tell_.pop_front();
    ++telling_;
    lock.unlock();
    const int lost = job->tell_of_end();
    try {
      if (lost > 0) log_(concat("no memory for ", lost, " answers of job ", job->id()));
    } catch (const std::exception&) {  // nor for saying so
    }
    lock.lock();
    --telling_;
  }
  changed_.notify_all();
}

// Where there is no memory for keeping it, it is forgotten.
void JobBoard::keep(const std::shared_ptr<Job>& job) noexcept {
  try {
    const JobStatus status = job->state().status;
    ++statistics_.ended[static_cast<size_t>(status)];
    const size_t bytes = bytes_of(*job);
    kept_.push_back({job, Job::Clock::now(), bytes});
    kept_bytes_ += bytes;
    forget_old();
  } catch (const std::bad_alloc&) {
  }
}

void JobBoard::hand_back_what_waited_too_long() {
  if (limits_.wait.count() == 0) return;
  while (!queue_.empty() && Job::Clock::now() - queue_.front().job->accepted() >= limits_.wait) {
    const std::shared_ptr<Job> job = queue_.front().job;
    Refusal late = waited_too_long(limits_.wait);
    queue_.pop_front();
    finish(job, JobStatus::failed, std::move(late));
  }
}

void JobBoard::keep_house() {
  constexpr std::chrono::milliseconds kSeldom{1000};
  const auto pause = limits_.wait.count() > 0
                         ? std::clamp(limits_.wait / 10, std::chrono::milliseconds(5), kSeldom)
                         : kSeldom;
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    leave_.wait_for(lock, pause);
    try {
      hand_back_what_waited_too_long();
      forget_old();
    } catch (const std::bad_alloc&) {  // in a moment, perhaps
    }
    start_what_fits();
    tell(lock);
    if (!spare_ || !running_.empty() || !queue_.empty()) continue;
    spare_ = false;
    lock.unlock();
    give_back_spare_memory();
    lock.lock();
  }
}

void JobBoard::forget_old() const {
  constexpr size_t kMostForgotten = 10'000;
  const auto oldest = Job::Clock::now() - limits_.keep;
  // The last to end stays however large it is: nobody could fetch its pictures otherwise.
  while (!kept_.empty() && (kept_[0].ended < oldest || kept_.size() > limits_.kept ||
                            (kept_.size() > 1 && kept_bytes_ > limits_.kept_bytes))) {
    // First: where there is no memory for it, nothing has changed.
    forgotten_.push_back({kept_[0].job->id(), kept_[0].job->owner().key});
    kept_bytes_ -= kept_[0].bytes;
    kept_.pop_front();
  }
  while (forgotten_.size() > kMostForgotten) forgotten_.pop_front();
}

std::shared_ptr<Job> JobBoard::find(const std::string& id, const Caller& owner) const {
  const std::lock_guard lock(mutex_);
  forget_old();
  const auto is_it = [&](const Job& job) { return job.id() == id && job.owner().key == owner.key; };
  for (const Waiting& waiting : queue_)
    if (is_it(*waiting.job)) return waiting.job;
  for (const auto& [job, active] : running_)
    if (is_it(*job)) return active->job;
  for (const Kept& kept : kept_)
    if (is_it(*kept.job)) return kept.job;
  if (std::ranges::any_of(forgotten_,
                          [&](const Forgotten& one) { return one.id == id && one.key == owner.key; }))
    throw Refusal(410, "job_expired", "the job has ended and its pictures are no longer kept", "id");
  throw Refusal(404, "job_not_found", "there is no such job", "id");
}

std::vector<std::shared_ptr<Job>> JobBoard::active(const Caller& owner) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> jobs;
  for (const auto& [job, active] : running_)
    if (job->owner() == owner) jobs.push_back(active->job);
  std::ranges::sort(jobs, {}, &Job::accepted);
  for (const Waiting& waiting : queue_)
    if (waiting.job->owner() == owner) jobs.push_back(waiting.job);
  return jobs;
}

bool JobBoard::cancel(const std::shared_ptr<Job>& job) {
  std::unique_lock lock(mutex_);
  if (std::erase_if(queue_, [&](const Waiting& waiting) { return waiting.job == job; }) > 0) {
    finish(job, JobStatus::cancelled, {});
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
  for (; !queue_.empty(); queue_.pop_front()) finish(queue_.front().job, JobStatus::failed, shutting_down());
  tell(lock);
  const auto all_ended = [&] { return running_.empty() && to_tell_.empty() && telling_ == 0; };
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
