// Jobs side by side: every picture as it is alone, in turn, within limits, and gone when they are told to.
#include "tstitch/serve/job_board.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <tuple>

#include "tstitch/engine/report.h"
#include "tstitch/serve/base64.h"
#include "tstitch/serve/refusal.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

const Caller kAnna{"", "anna"}, kBob{"", "bob"};

// Collects the states of jobs, and waits for them.
class Watching {
 public:
  void watch(const std::shared_ptr<Job>& job, const std::string& name) {
    job->watch([this, name, job = job.get()](const JobState& state) {
      const std::lock_guard lock(mutex_);
      if (state.status == JobStatus::running && std::ranges::count(started_, name) == 0)
        started_.push_back(name);
      ended_ += state.ended();
      changed_.notify_all();
    });
  }
  void wait_for_end(int jobs) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= jobs; });
  }
  std::vector<std::string> started() {
    const std::lock_guard lock(mutex_);
    return started_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> started_;
  int ended_ = 0;
};

void wait_for(const std::shared_ptr<Job>& job) {
  Watching watching;
  watching.watch(job, "");
  watching.wait_for_end(1);
}

class Board : public testing::Test {
 protected:
  std::shared_ptr<const Plan> plan(const json& request) const {
    return planner.plan(read_request(request, catalog));
  }
  std::unique_ptr<JobBoard> board() const {
    return std::make_unique<JobBoard>(make_backend(device), limits,
                                      [](const std::string& line) { ADD_FAILURE() << line; });
  }
  // What `tstitch sample` makes of it.
  std::vector<std::vector<std::byte>> alone(const Plan& of) const {
    Engine engine(of.models, device);
    engine.load(of.spec);
    const std::vector<Image> images = engine.sample(of.spec);
    std::vector<std::vector<std::byte>> files;
    for (size_t i = 0; i < images.size(); ++i)
      files.push_back(encode_png(images[i], png_text(of.spec, of.models, static_cast<int64_t>(i))));
    return files;
  }
  static std::vector<std::vector<std::byte>> files_of(const Job& job) {
    std::vector<std::vector<std::byte>> files;
    for (const auto& picture : job.pictures()) files.push_back(picture->png);
    return files;
  }

  const BackendOptions device{.dtype = "f32", .threads = 2};
  Limits limits;
  const Catalog catalog{CatalogOptions{}};
  const Planner planner{catalog, {}, limits, device};
};

json random_request(std::mt19937& random) {
  const auto one_of = [&](std::initializer_list<json> choices) {
    return choices.begin()[random() % choices.size()];
  };
  json request = {{"class", one_of({0, "Bag", json::array({1, 2, 3})})},
                  {"seed", random() % 1000},
                  {"steps", 2 + random() % 5},
                  {"cfg_scale", one_of({1, 2, 4})},
                  {"sampler", one_of({"ddim", "euler_a", "dpm++2m", "unipc", "ddpm"})}};
  request["model"] = one_of({"fashion-s+fashion-l", "fashion-s+fashion-b", "fashion-b+fashion-s"});
  if (random() % 3 == 0) {
    request["stages"] = {{{"share", 0.5}, {"cfg", 3}}, {{"cfg", 1}}};
    request.erase("cfg_scale");  // which no stage would take
  } else {
    request["ratio"] = one_of({0, 0.4, 1});
  }
  if (random() % 4 == 0) request["width"] = 36;
  return request;
}

TEST_F(Board, EveryPictureIsWhatItIsAlone) {
  std::mt19937 random(7);
  const auto jobs_board = board();
  std::vector<std::shared_ptr<Job>> jobs;
  std::vector<std::shared_ptr<const Plan>> plans;
  Watching watching;
  for (int i = 0; i < 12; ++i) {
    plans.push_back(plan(random_request(random)));
    jobs.push_back(jobs_board->submit(plans.back(), i % 2 ? kAnna : kBob));
    watching.watch(jobs.back(), "");
    if (i % 3 == 0) std::this_thread::sleep_for(5ms);
  }
  watching.wait_for_end(12);
  for (size_t i = 0; i < jobs.size(); ++i) {
    const auto& job = jobs[i];
    ASSERT_EQ(job->state().status, JobStatus::done) << job->state().error->message;
    EXPECT_EQ(files_of(*job), alone(*plans[i]));
    EXPECT_EQ(plans[i].use_count(), 1);  // what has ended holds its pictures alone
    for (const auto& picture : job->pictures()) EXPECT_GT(picture->png.size(), 100u);
  }
  const auto counts = jobs_board->statistics();
  EXPECT_EQ(counts.ended[static_cast<size_t>(JobStatus::done)], 12);
  EXPECT_GT(counts.evaluations.rows, counts.evaluations.evaluations);
  EXPECT_LE(jobs_board->store().statistics().loads, 3);
}

TEST_F(Board, StepsAreTold) {
  const auto jobs_board = board();
  const auto job =
      jobs_board->submit(plan({{"class", {1, 2, 3, 4, 5, 6, 7, 8, 9}}, {"steps", 4}, {"ratio", 0.5}}), kAnna);
  std::mutex mutex;
  std::vector<std::string> told;
  job->watch([&](const JobState& state) {
    const std::lock_guard lock(mutex);
    told.push_back(concat(name_of(state.status), " ", state.step, "/", state.steps, " ", state.stage));
  });
  wait_for(job);
  const std::lock_guard lock(mutex);
  const std::vector<std::string> last(told.end() - 6, told.end());  // the second batch, of one image
  EXPECT_EQ(last, (std::vector<std::string>{"running 4/8 fashion-l", "running 5/8 fashion-s",
                                            "running 6/8 fashion-s", "running 7/8 fashion-l",
                                            "running 8/8 fashion-l", "done 8/8 fashion-l"}));
}

TEST_F(Board, WhoHadATurnWaitsForTheOthers) {
  limits.running = 1;
  const auto jobs_board = board();
  const auto run = plan({{"class", 1}, {"steps", 20}, {"ratio", 1}});
  Watching watching;
  int jobs = 0;
  for (const auto& [name, owner] : {std::pair{"anna 1", kAnna},
                                    {"anna 2", kAnna},
                                    {"anna 3", kAnna},
                                    {"bob 1", kBob},
                                    {"anna 4", kAnna},
                                    {"bob 2", kBob}}) {
    watching.watch(jobs_board->submit(run, owner), name);
    ++jobs;
  }
  watching.wait_for_end(jobs);
  EXPECT_EQ(watching.started(),
            (std::vector<std::string>{"anna 1", "anna 2", "bob 1", "anna 3", "bob 2", "anna 4"}));
}

TEST_F(Board, TheQueueHasAnEnd) {
  limits.running = 1;
  limits.queued = 2;
  const auto jobs_board = board();
  const auto long_run = plan({{"class", 1}, {"steps", 500}});
  std::vector<std::shared_ptr<Job>> jobs;
  for (int i = 0; i < 3; ++i) jobs.push_back(jobs_board->submit(long_run, kAnna));
  try {
    jobs_board->submit(long_run, kBob);
    FAIL();
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.status, 429);
    EXPECT_GT(refusal.retry_after, 0);
  }
  EXPECT_THROW(jobs_board->check_room(), Refusal);
  EXPECT_EQ(jobs_board->active(kAnna), jobs);
  EXPECT_TRUE(jobs_board->active(kBob).empty());
  for (const auto& job : jobs) EXPECT_TRUE(jobs_board->cancel(job));
  for (const auto& job : jobs) {
    wait_for(job);
    EXPECT_EQ(job->state().status, JobStatus::cancelled);
    EXPECT_TRUE(job->pictures().empty());
    EXPECT_FALSE(jobs_board->cancel(job));
  }
}

TEST_F(Board, ThePicturesOfWhatWaitsHaveALimit) {
  limits.running = 1;
  limits.queued_bytes = 1000;
  const auto jobs_board = board();
  const Image gray{.width = 28, .height = 28, .channels = 1, .pixels = std::vector<uint8_t>(28 * 28, 90)};
  const auto long_run = plan({{"class", 1}, {"steps", 500}}),
             from_picture = plan({{"class", 1}, {"init_image", base64(encode_png(gray, {}))}});
  std::vector<std::shared_ptr<Job>> jobs;
  for (const auto& each : {long_run, from_picture, long_run}) jobs.push_back(jobs_board->submit(each, kAnna));
  try {
    jobs_board->submit(from_picture, kAnna);
    FAIL();
  } catch (const Refusal& refusal) {
    EXPECT_EQ(std::pair(refusal.status, refusal.code), std::pair(429, std::string("queue_full")));
    EXPECT_NE(refusal.message.find("pictures"), std::string::npos) << refusal.message;
  }
  for (const auto& job : jobs) {
    jobs_board->cancel(job);
    wait_for(job);
  }
}

TEST_F(Board, WhoWaitsTooLongIsHandedBack) {
  limits.running = 1;
  limits.wait = 60ms;
  const auto jobs_board = board();
  const auto runs = jobs_board->submit(plan({{"class", 1}, {"steps", 1000}, {"ratio", 0}}), kAnna);
  const auto waits = jobs_board->submit(plan({{"class", 1}, {"steps", 2}}), kBob);
  wait_for(waits);
  EXPECT_EQ(waits->state().status, JobStatus::failed);
  EXPECT_EQ(waits->state().step, 0);
  const Refusal why = *waits->state().error;
  EXPECT_EQ(std::tuple(why.status, why.code), std::tuple(503, std::string("queue_timeout"))) << why.message;
  EXPECT_GT(why.retry_after, 0);
  // Time that a job runs is none that it waits.
  EXPECT_FALSE(runs->state().ended());
  jobs_board->cancel(runs);
  wait_for(runs);
  EXPECT_EQ(jobs_board->statistics().queued, 0u);
  // Nor is what others have waited.
  const auto late = jobs_board->submit(plan({{"class", 1}, {"steps", 2}}), kBob);
  wait_for(late);
  EXPECT_EQ(late->state().status, JobStatus::done);
}

// The end of a job starts the next: by the housekeeper's rounds, one a second, the last would come too late.
TEST_F(Board, WhoseTurnComesInTimeIsNotHandedBack) {
  limits.running = 1;
  limits.wait = 45s;
  const auto jobs_board = board();
  const auto small = plan({{"class", 1}, {"steps", 1}, {"ratio", 1}});
  Watching watching;
  for (int i = 0; i < 60; ++i)
    watching.watch(jobs_board->submit(small, i < 50 ? kAnna : kBob), std::to_string(i));
  watching.wait_for_end(60);
  EXPECT_EQ(jobs_board->statistics().ended[static_cast<size_t>(JobStatus::done)], 60);
}

// However it ends: what is kept of it are its own pictures, which are counted.
TEST_F(Board, WhatHasEndedHoldsNoPictureOfItsRequest) {
  limits.running = 1;
  const auto jobs_board = board();
  const Image gray{.width = 28, .height = 28, .channels = 1, .pixels = std::vector<uint8_t>(28 * 28, 90)};
  const std::string picture = base64(encode_png(gray, {}));
  std::vector<std::shared_ptr<Job>> jobs;
  std::vector<std::weak_ptr<const Plan>> plans;
  for (const int steps : {4, 1000, 1000, 1000}) {
    const auto from_picture =
        plan({{"class", 1}, {"steps", steps}, {"init_image", picture}, {"mask", picture}});
    EXPECT_TRUE(from_picture->spec.options.init_image && from_picture->spec.mask);
    plans.push_back(from_picture);
    jobs.push_back(jobs_board->submit(from_picture, kAnna));
  }
  wait_for(jobs[0]);
  jobs_board->cancel(jobs[1]);  // which runs
  jobs_board->cancel(jobs[3]);  // which waits
  for (const auto& job : {jobs[1], jobs[3]}) wait_for(job);
  jobs_board->close(0ms);
  const std::vector<JobStatus> expected = {JobStatus::done, JobStatus::cancelled, JobStatus::failed,
                                           JobStatus::cancelled};
  for (size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(jobs[i]->state().status, expected[i]) << i;
    EXPECT_TRUE(plans[i].expired()) << i;
  }
  const auto counts = jobs_board->statistics();
  EXPECT_EQ(counts.kept, 4u);
  EXPECT_EQ(counts.kept_bytes, jobs[0]->pictures()[0]->png.size());
}

// Clients say forms as they like, and each would be a line of the metrics for ever.
TEST_F(Board, TimeIsCountedByModelsInWhateverForm) {
  const auto jobs_board = board();
  for (const char* twin : {"skip=2+3", "skip=3"})
    wait_for(jobs_board->submit(
        plan({{"class", 1}, {"model", "fashion-l"}, {"steps", 4}, {"ratio", 0.5}, {"twin", twin}}), kAnna));
  const auto stages = jobs_board->statistics().stages;
  ASSERT_EQ(stages.size(), 1u);
  EXPECT_EQ(stages.begin()->first, "fashion-l");
  EXPECT_GE(stages.begin()->second.evaluations, 8);
}

TEST_F(Board, AWatcherThatFailsHarmsNobody) {
  const auto jobs_board = board();
  const auto job = jobs_board->submit(plan({{"class", 1}, {"steps", 30}, {"ratio", 1}}), kAnna);
  job->watch([](const JobState& state) {
    if (state.step > 1 && !state.ended()) throw std::bad_alloc();
  });
  wait_for(job);
  EXPECT_EQ(job->state().status, JobStatus::done);
}

TEST_F(Board, ACancelledJobEndsWithinAStepAndHarmsNoOther) {
  const auto jobs_board = board();
  const auto others = plan({{"class", 3}, {"steps", 12}});
  const auto other = jobs_board->submit(others, kBob);
  for (int i = 0; i < 5; ++i) {
    const auto job = jobs_board->submit(plan({{"class", 1}, {"steps", 1000}, {"ratio", 0}}), kAnna);
    Watching watching;
    watching.watch(job, "");
    while (job->state().step < i) std::this_thread::yield();
    jobs_board->cancel(job);
    watching.wait_for_end(1);
    EXPECT_EQ(job->state().status, JobStatus::cancelled);
    EXPECT_LE(job->state().step, 900);
  }
  wait_for(other);
  EXPECT_EQ(files_of(*other), alone(*others));
}

TEST_F(Board, JobsAreFoundByWhoMadeThem) {
  const auto jobs_board = board();
  const auto job = jobs_board->submit(plan({{"class", 1}, {"steps", 2}}), {"1", "here"});
  EXPECT_EQ(jobs_board->find(job->id(), {"1", "there"}), job);
  const auto status_of = [&](const std::string& id, const Caller& caller) {
    try {
      jobs_board->find(id, caller);
      return 200;
    } catch (const Refusal& refusal) {
      return refusal.status;
    }
  };
  EXPECT_EQ(status_of(job->id(), {"2", "here"}), 404);
  EXPECT_EQ(status_of("x", {"1", "here"}), 404);
  EXPECT_EQ(job->id().size(), 32u);
  wait_for(job);
  EXPECT_EQ(status_of(job->id(), {"1", "here"}), 200);
}

TEST_F(Board, WhatIsOldIsForgotten) {
  limits.kept = 2;
  const auto jobs_board = board();
  std::vector<std::shared_ptr<Job>> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.push_back(jobs_board->submit(plan({{"class", 1}, {"steps", 2}}), kAnna));
    wait_for(jobs.back());
  }
  const auto status_of = [&](const std::shared_ptr<Job>& job, const Caller& caller) {
    try {
      return jobs_board->find(job->id(), caller) == job ? 200 : 0;
    } catch (const Refusal& refusal) {
      return refusal.status;
    }
  };
  EXPECT_EQ(status_of(jobs[2], kAnna), 200);
  EXPECT_EQ(status_of(jobs[0], kAnna), 410);
  EXPECT_EQ(status_of(jobs[0], {"another key", "anna"}), 404);
  EXPECT_EQ(jobs_board->statistics().kept, 2u);
}

// Nobody could fetch its pictures otherwise.
TEST_F(Board, TheLastIsKeptHoweverLargeItIs) {
  limits.kept_bytes = 1;
  const auto jobs_board = board();
  for (int i = 0; i < 2; ++i) {
    const auto job = jobs_board->submit(plan({{"class", 1}, {"steps", 2}}), kAnna);
    wait_for(job);
    EXPECT_EQ(jobs_board->find(job->id(), kAnna), job);
    EXPECT_EQ(jobs_board->statistics().kept, 1u);
    EXPECT_EQ(jobs_board->statistics().kept_bytes, job->pictures()[0]->png.size());
  }
}

TEST_F(Board, AtTheEndWhatRunsMayGoOnAndWhatWaitsIsHandedBack) {
  limits.running = 1;
  const auto jobs_board = board();
  const auto runs = jobs_board->submit(plan({{"class", 1}, {"steps", 10}}), kAnna);
  const auto waits = jobs_board->submit(plan({{"class", 1}, {"steps", 10}}), kAnna);
  jobs_board->close(60s);
  EXPECT_EQ(runs->state().status, JobStatus::done);
  EXPECT_EQ(waits->state().status, JobStatus::failed);
  EXPECT_EQ(waits->state().error->status, 503);
  try {
    jobs_board->submit(plan({{"class", 1}}), kAnna);
    FAIL();
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.code, "shutting_down");
  }
}

TEST_F(Board, AtTheEndNobodyWaitsForEver) {
  const auto jobs_board = board();
  const auto job = jobs_board->submit(plan({{"class", 1}, {"steps", 1000}}), kAnna);
  jobs_board->close(50ms);
  EXPECT_EQ(job->state().status, JobStatus::failed);
  EXPECT_EQ(job->state().error->status, 503);
}

// With room for one pair of models, others wait for the end of those that use it, and what is not used
// leaves.
TEST_F(Board, ModelsLeaveWhenMemoryIsWanted) {
  const auto small = plan({{"class", 1}, {"steps", 3}, {"model", "fashion-s"}}),
             large = plan({{"class", 1}, {"steps", 3}, {"model", "fashion-l"}});
  limits.memory = large->need.total() + 1000;
  const auto jobs_board = board();
  Watching watching;
  std::vector<std::shared_ptr<Job>> jobs;
  for (int i = 0; i < 6; ++i) {
    jobs.push_back(jobs_board->submit(i % 2 ? large : small, kAnna));
    watching.watch(jobs.back(), std::to_string(i));
  }
  watching.wait_for_end(6);
  for (size_t i = 0; i < jobs.size(); ++i) EXPECT_EQ(files_of(*jobs[i]), alone(i % 2 ? *large : *small));
  EXPECT_EQ(watching.started(), (std::vector<std::string>{"0", "1", "2", "3", "4", "5"}));
  const auto models = jobs_board->store().statistics();
  EXPECT_GE(models.evictions, 1);
  EXPECT_LE(models.bytes, limits.memory);
  EXPECT_EQ(models.claimed_bytes, 0);

  limits.memory = small->need.total() + 1000;
  const auto tight = board();
  try {
    tight->submit(large, kAnna);
    FAIL();
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.code, "needs_too_much_memory");
  }
}

}  // namespace
}  // namespace tstitch::serve
