#include "tstitch/diffusion/step_batcher.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

using Clock = std::chrono::steady_clock;

struct Cancelled {};  // what a cancelled job's question throws

class BatchedJob;

// Questions of one kind may share an evaluation.
struct Kind {
  const Network* network = nullptr;
  Shape extent;  // of x, without its rows
  bool operator==(const Kind&) const = default;
};

// What jobs and the loop share, under the mutex.
struct Desk {
  std::mutex mutex;
  std::condition_variable changed;   // what the loop waits for: a question, the last of those due, the end
  std::vector<BatchedJob*> waiting;  // with a question, the oldest first
  int due = 0;                       // jobs that were answered last and have neither asked again nor ended
  uint64_t round = 1;                // which of them those are: what was answered in another is due no more
  bool closed = false;
};

class BatchedJob final : public StepBatcher::Job, public Evaluator {
 public:
  BatchedJob(std::shared_ptr<Desk> desk, std::function<void(Evaluator&)> work)
      : desk_(std::move(desk)), work_(std::move(work)) {}

  // On the job's thread, for its life.
  void run() {
    std::exception_ptr error;
    bool cancelled = false;
    try {
      work_(*this);
    } catch (const Cancelled&) {
      cancelled = true;
    } catch (...) {
      error = std::current_exception();
    }
    work_ = nullptr;  // and what it holds
    answer_ = {};     // of an evaluation that a cancelled job did not wait for
    evaluation_error_ = nullptr;
    const std::lock_guard lock(desk_->mutex);
    error_ = error;
    was_cancelled_ = cancelled;
    ended_ = true;
    arrive();
    changed_.notify_all();
  }

  Tensor evaluate(const Network& network, const Tensor& x, std::span<const Row> rows) override {
    std::unique_lock lock(desk_->mutex);
    arrive();
    if (cancel_) throw Cancelled();
    network_ = &network, x_ = &x, rows_ = rows;
    answered_ = false;
    desk_->waiting.push_back(this);
    desk_->changed.notify_one();
    changed_.wait(lock, [&] { return answered_; });
    if (cancel_) throw Cancelled();
    if (evaluation_error_) std::rethrow_exception(std::exchange(evaluation_error_, nullptr));
    return std::exchange(answer_, {});
  }

  void cancel() override {
    const std::lock_guard lock(desk_->mutex);
    cancel_ = true;
    if (std::erase(desk_->waiting, this) == 0) return;
    answered_ = true;
    changed_.notify_all();
  }
  bool has_ended() const override {
    const std::lock_guard lock(desk_->mutex);
    return ended_;
  }
  StepBatcher::Outcome wait() const override {
    std::unique_lock lock(desk_->mutex);
    changed_.wait(lock, [&] { return ended_; });
    if (error_) std::rethrow_exception(error_);
    return was_cancelled_ ? StepBatcher::Outcome::cancelled : StepBatcher::Outcome::done;
  }

  // ---- for the loop, while the question waits or is taken up
  Kind kind() const { return {network_, x_->shape().with(0, 0)}; }
  const Network& network() const { return *network_; }
  const Tensor& x() const { return *x_; }
  std::span<const Row> rows() const { return rows_; }
  void answer(Tensor y) { answer_ = std::move(y); }
  void fail_with(std::exception_ptr error) { evaluation_error_ = std::move(error); }
  // Under the desk's mutex.
  void go_on() {
    answered_ = true;
    due_in_ = desk_->round;
    ++desk_->due;
    changed_.notify_all();
  }

 private:
  // It was due, or is late.
  void arrive() {
    if (std::exchange(due_in_, 0) == desk_->round && --desk_->due == 0) desk_->changed.notify_one();
  }

  const std::shared_ptr<Desk> desk_;
  std::function<void(Evaluator&)> work_;
  mutable std::condition_variable changed_;  // answered, or ended
  bool cancel_ = false;
  uint64_t due_in_ = 0;

  const Network* network_ = nullptr;
  const Tensor* x_ = nullptr;
  std::span<const Row> rows_;
  bool answered_ = false;
  Tensor answer_;
  std::exception_ptr evaluation_error_;

  bool ended_ = false, was_cancelled_ = false;
  std::exception_ptr error_;
};

}  // namespace

class StepBatcher::Loop {
 public:
  Loop(Backend& backend, int64_t most_rows) : backend_(backend), most_rows_(most_rows) {
    thread_ = started([this] { run(); });
  }

  ~Loop() {
    std::vector<Running> jobs;
    {
      const std::lock_guard lock(jobs_mutex_);
      jobs.swap(jobs_);
      closing_ = true;
    }
    for (const Running& running : jobs) running.job->cancel();
    for (Running& running : jobs) running.thread.join();
    {
      const std::lock_guard lock(desk_->mutex);
      desk_->closed = true;
      desk_->changed.notify_one();
    }
    thread_.join();
  }

  std::shared_ptr<Job> start(std::function<void(Evaluator&)> work) {
    const std::lock_guard lock(jobs_mutex_);
    check_internal(!closing_, "a job is started on a batcher that ends");
    std::erase_if(jobs_, [](Running& running) {
      if (!running.job->has_ended()) return false;
      running.thread.join();
      return true;
    });
    auto job = std::make_shared<BatchedJob>(desk_, std::move(work));
    jobs_.reserve(jobs_.size() + 1);  // a thread that runs must find its place
    jobs_.push_back({job, started([job] { job->run(); })});
    return job;
  }

  size_t waiting() const {
    const std::lock_guard lock(desk_->mutex);
    return desk_->waiting.size();
  }

  Counts counts() const {
    const std::lock_guard lock(desk_->mutex);
    return counts_;
  }

 private:
  struct Running {
    std::shared_ptr<BatchedJob> job;
    std::thread thread;
  };
  using Group = std::span<BatchedJob* const>;

  template <class F>
  static std::thread started(F f) try {
    return std::thread(std::move(f));
  } catch (const std::system_error& error) {
    fail(ErrorKind::device, "[RES_THREADS] the system starts no more threads: ", error.code().message());
  }

  void run() {
    std::unique_lock lock(desk_->mutex);
    while (true) {
      desk_->changed.wait(lock, [&] { return desk_->closed || !desk_->waiting.empty(); });
      if (desk_->closed) return;
      // Those that were answered ask again within moments, and then share the next evaluation of their kind.
      // One that takes longer (it ends, and makes a picture of its latent) is not waited for.
      if (desk_->waiting[0]->kind() == kind_)
        desk_->changed.wait_for(lock, patience_, [&] { return desk_->due == 0 || is_full(); });
      if (desk_->waiting.empty()) continue;  // cancelled
      ++desk_->round;
      desk_->due = 0;
      take_group();
      lock.unlock();
      const Clock::time_point begin = Clock::now();
      evaluate(group_);
      patience_ = std::clamp<Clock::duration>((Clock::now() - begin) / 2, std::chrono::milliseconds(1),
                                              std::chrono::milliseconds(50));
      lock.lock();
      ++counts_.evaluations;
      counts_.rows += rows_of(group_);
      for (BatchedJob* job : group_) job->go_on();
    }
  }

  // Whether more questions of the kind would not be taken up with those that wait.
  bool is_full() const {
    int64_t rows = 0;
    for (const BatchedJob* job : desk_->waiting)
      if (job->kind() == kind_) rows += std::ssize(job->rows());
    return rows >= most_rows_;
  }

  void take_group() {
    std::vector<BatchedJob*>& waiting = desk_->waiting;
    group_.clear();
    kind_ = waiting[0]->kind();
    int64_t rows = 0;
    for (BatchedJob* job : waiting) {
      if (job->kind() != kind_) continue;
      rows += std::ssize(job->rows());
      if (!group_.empty() && rows > most_rows_) break;
      group_.push_back(job);
    }
    std::erase_if(waiting, [&](BatchedJob* job) { return std::ranges::find(group_, job) != group_.end(); });
  }

  // All together; where that fails, in halves, so that only those see an error whose rows cause it.
  void evaluate(Group group) {
    try {
      evaluate_together(group);
    } catch (const Error& error) {
      // What the device cannot hold today it need not be asked for again.
      if (error.kind() == ErrorKind::device && group.size() > 1) most_rows_ = rows_of(group) / 2;
      evaluate_halves(group, std::current_exception());
    } catch (...) {
      evaluate_halves(group, std::current_exception());
    }
    pictures_.clear();
  }

  void evaluate_halves(Group group, const std::exception_ptr& error) {
    if (group.size() == 1) return group[0]->fail_with(error);
    evaluate(group.first(group.size() / 2));
    evaluate(group.subspan(group.size() / 2));
  }

  void evaluate_together(Group group) {
    const Network& network = group[0]->network();
    if (group.size() == 1) return group[0]->answer(network.evaluate(group[0]->x(), group[0]->rows()));
    pictures_.clear(), rows_.clear();
    for (const BatchedJob* job : group) {
      pictures_.push_back(job->x());
      rows_.insert(rows_.end(), job->rows().begin(), job->rows().end());
    }
    const Tensor y = network.evaluate(stack(backend_, pictures_), rows_);
    int64_t first = 0;
    for (BatchedJob* job : group) {
      const int64_t count = std::ssize(job->rows());
      job->answer(y.slice(first, first + count));
      first += count;
    }
  }

  static int64_t rows_of(Group group) {
    int64_t rows = 0;
    for (const BatchedJob* job : group) rows += std::ssize(job->rows());
    return rows;
  }

  Backend& backend_;
  int64_t most_rows_;
  const std::shared_ptr<Desk> desk_ = std::make_shared<Desk>();
  Counts counts_;  // under the desk's mutex
  std::mutex jobs_mutex_;
  std::vector<Running> jobs_;
  bool closing_ = false;
  // Of the loop's thread: the evaluation in progress, or the last one.
  Kind kind_;
  std::vector<BatchedJob*> group_;
  std::vector<Tensor> pictures_;
  std::vector<Row> rows_;
  Clock::duration patience_{};
  std::thread thread_;
};

StepBatcher::StepBatcher(Backend& backend, int64_t most_rows)
    : loop_(std::make_unique<Loop>(backend, most_rows)) {}

StepBatcher::~StepBatcher() = default;

std::shared_ptr<StepBatcher::Job> StepBatcher::start(std::function<void(Evaluator&)> work) {
  return loop_->start(std::move(work));
}

size_t StepBatcher::waiting() const { return loop_->waiting(); }

StepBatcher::Counts StepBatcher::counts() const { return loop_->counts(); }

}  // namespace tstitch
