// Many trajectories at once: each on a thread of its own, what they ask of networks answered together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "tstitch/backend/backend.h"
#include "tstitch/diffusion/network.h"

namespace tstitch {

// Collects the questions of jobs, and answers those that may share an evaluation (one network, one extent)
// together: the oldest and with it the others of its kind, up to a number of rows. So a job joins at the next
// evaluation and leaves when it is done, and none waits for questions younger than its own but for those that
// share its evaluation. What a job computes does not depend on the others.
class StepBatcher {
 public:
  enum class Outcome { done, cancelled };

  // Any thread may call these, at any time.
  class Job {
   public:
    virtual ~Job() = default;
    // Ends the job where it waits for an answer: now, if its question has not been taken up, else after that
    // evaluation. One that asks nothing more goes on to its end.
    virtual void cancel() = 0;
    virtual bool has_ended() const = 0;
    // Returns when the job has ended. Throws what its work threw; what an evaluation throws reaches only
    // those whose rows are to blame.
    virtual Outcome wait() const = 0;
  };

  // most_rows: of an evaluation, unless one question alone has more. Where the device cannot hold that,
  // fewer.
  explicit StepBatcher(Backend& backend, int64_t most_rows = 64);
  // Cancels what still runs, and waits for its end; not on the thread of a job.
  ~StepBatcher();

  // Runs `work` on a thread of its own, which asks its evaluator one question at a time. What the evaluator
  // throws it must let pass: that is how a cancelled job ends. Throws Error{device} when the system starts no
  // thread. The job goes on when nobody holds it.
  std::shared_ptr<Job> start(std::function<void(Evaluator&)> work);

  size_t waiting() const;  // questions that were not taken up yet

  // What was answered so far.
  struct Counts {
    int64_t evaluations = 0, rows = 0;
  };
  Counts counts() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace tstitch
