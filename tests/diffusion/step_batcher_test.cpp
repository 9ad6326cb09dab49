#include "tstitch/diffusion/step_batcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/diffusion/exact_denoisers.h"
#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::expect_error;
using testing::tensor_of;
using testing::values_of;
using Outcome = StepBatcher::Outcome;
using Job = std::shared_ptr<StepBatcher::Job>;

// Adds to every picture its row's t. A negative one is an error, alone and in company.
class AddingNetwork final : public Network {
 public:
  std::unique_ptr<const BoundCondition> bind(const Condition&, int64_t, int64_t) const override {
    return std::make_unique<BoundCondition>();
  }
  Tensor evaluate(const Tensor& x, std::span<const Row> rows) const override {
    {
      const std::lock_guard lock(mutex);
      sizes.push_back(std::ssize(rows));
    }
    if (gate) gate->wait();
    for (const Row& row : rows) check(row.t >= 0, ErrorKind::input, "t is ", row.t);
    const int64_t size = x.elements() / x.extent(0);
    return tensor_of(x.shape(),
                     [&](int64_t i) { return x.data<float>()[i] + rows[static_cast<size_t>(i / size)].t; });
  }
  std::vector<int64_t> take_sizes() const {
    const std::lock_guard lock(mutex);
    return std::exchange(sizes, {});
  }
  // Returns when so many evaluations have begun.
  void wait_for(size_t evaluations) const {
    while (true) {
      {
        const std::lock_guard lock(mutex);
        if (sizes.size() >= evaluations) return;
      }
      std::this_thread::yield();
    }
  }

  // What every evaluation waits for.
  std::optional<std::shared_future<void>> gate;

 private:
  mutable std::mutex mutex;
  mutable std::vector<int64_t> sizes;  // rows of every evaluation
};

Tensor zeros(int64_t rows, int64_t side = 2) {
  return tensor_of({rows, side, side, 1}, [](int64_t) { return 0; });
}

std::vector<Row> rows_at(std::initializer_list<double> t) {
  std::vector<Row> rows;
  for (const double each : t) rows.push_back({.t = each, .condition = nullptr});
  return rows;
}

// Asks `questions` times, each time with what came back.
Tensor ask(Evaluator& evaluator, const Network& network, const std::vector<Row>& rows, int questions,
           int64_t side = 2) {
  Tensor x = zeros(std::ssize(rows), side);
  for (int i = 0; i < questions; ++i) x = evaluator.evaluate(network, x, rows);
  return x;
}

// A network whose evaluations wait until the test says so.
struct Gated {
  Gated() { network.gate = open.get_future().share(); }
  std::promise<void> open;
  AddingNetwork network;
};

// Returns when so many questions wait.
void wait_for(const StepBatcher& batcher, size_t questions) {
  while (batcher.waiting() < questions) std::this_thread::yield();
}

TEST(StepBatcher, QuestionsThatWaitAreAnsweredTogether) {
  Gated gated;
  StepBatcher batcher(backend());
  std::array<Tensor, 5> x;
  std::vector<Job> jobs;
  const auto start = [&](size_t i) {
    jobs.push_back(batcher.start([&, i](Evaluator& evaluator) {
      x[i] = ask(evaluator, gated.network, rows_at({static_cast<double>(i), 10}), 3);
    }));
  };
  start(0);
  gated.network.wait_for(1);  // and the others join at the next
  for (size_t i = 1; i < x.size(); ++i) start(i);
  wait_for(batcher, 4);
  gated.open.set_value();
  for (const Job& job : jobs) EXPECT_EQ(job->wait(), Outcome::done);
  for (size_t i = 0; i < x.size(); ++i)
    for (int64_t j = 0; j < 8; ++j) EXPECT_EQ(x[i].data<float>()[j], j < 4 ? 3 * static_cast<float>(i) : 30);
  const std::vector<int64_t> sizes = gated.network.take_sizes();
  EXPECT_EQ(sizes[0], 2);
  EXPECT_GE(sizes[1], 8);
}

TEST(StepBatcher, OthersDoNotShare) {
  Gated gated;
  const AddingNetwork other;
  StepBatcher batcher(backend(), 5);
  std::vector<Job> jobs;
  size_t questions = 0;
  const auto start = [&](const Network& network, int64_t rows, int64_t side) {
    jobs.push_back(batcher.start([&network, rows, side](Evaluator& evaluator) {
      ask(evaluator, network, std::vector<Row>(static_cast<size_t>(rows), {1, nullptr}), 1, side);
    }));
    if (jobs.size() == 1)
      gated.network.wait_for(1);
    else
      wait_for(batcher, ++questions);
  };
  start(gated.network, 1, 2);
  start(gated.network, 2, 2);  // shares with the one after the next,
  start(gated.network, 2, 4);  // but not with another extent,
  start(gated.network, 3, 2);
  start(other, 2, 2);          // with another network,
  start(gated.network, 1, 2);  // nor beyond five rows;
  start(gated.network, 9, 2);  // one question alone may have more
  gated.open.set_value();
  for (const Job& job : jobs) EXPECT_EQ(job->wait(), Outcome::done);
  EXPECT_EQ(gated.network.take_sizes(), (std::vector<int64_t>{1, 5, 2, 1, 9}));
  EXPECT_EQ(other.take_sizes(), std::vector<int64_t>{2});
}

// The oldest question first: who asked while another was answered comes before that one's next.
TEST(StepBatcher, IsFairToThoseWhoCannotShare) {
  Gated gated;
  const AddingNetwork other;
  StepBatcher batcher(backend());
  size_t evaluations = 0;
  const Job first = batcher.start([&](Evaluator& evaluator) {
    ask(evaluator, gated.network, rows_at({1}), 1);
    ask(evaluator, gated.network, rows_at({1}), 1);
    evaluations = other.take_sizes().size();
  });
  gated.network.wait_for(1);
  const Job second = batcher.start([&](Evaluator& evaluator) { ask(evaluator, other, rows_at({1}), 1); });
  wait_for(batcher, 1);
  gated.open.set_value();
  first->wait(), second->wait();
  EXPECT_EQ(evaluations, 1u);
}

TEST(StepBatcher, AnErrorReachesOnlyItsOwn) {
  Gated gated;
  StepBatcher batcher(backend());
  std::vector<Job> jobs = {
      batcher.start([&](Evaluator& evaluator) { ask(evaluator, gated.network, rows_at({1}), 1); })};
  gated.network.wait_for(1);
  for (const double t : {1.0, 2.0, -3.0, 4.0})
    jobs.push_back(batcher.start([&, t](Evaluator& evaluator) {
      EXPECT_EQ(values_of(ask(evaluator, gated.network, rows_at({t}), 4))[0], 4 * t);
    }));
  jobs.push_back(batcher.start([](Evaluator&) { fail(ErrorKind::usage, "its own"); }));
  wait_for(batcher, 4);
  gated.open.set_value();
  for (const size_t i : {0, 1, 2, 4}) EXPECT_EQ(jobs[i]->wait(), Outcome::done);
  expect_error(ErrorKind::input, "t is -3", [&] { jobs[3]->wait(); });
  expect_error(ErrorKind::input, "t is -3", [&] { jobs[3]->wait(); });  // again
  expect_error(ErrorKind::usage, "its own", [&] { jobs[5]->wait(); });
  EXPECT_EQ(gated.network.take_sizes()[1], 4) << "the bad row was to be in company";
}

// A device that holds two rows: more are asked for once.
TEST(StepBatcher, WhatTheDeviceCannotHoldIsDivided) {
  struct Narrow final : Network {
    std::unique_ptr<const BoundCondition> bind(const Condition&, int64_t, int64_t) const override {
      return std::make_unique<BoundCondition>();
    }
    Tensor evaluate(const Tensor& x, std::span<const Row> rows) const override {
      const bool fits = rows.size() <= 2;
      ++(fits ? held : refused);
      check(fits, ErrorKind::device, "out of memory");
      return inner.evaluate(x, rows);
    }
    AddingNetwork inner;
    mutable std::atomic<int> held = 0, refused = 0;
  } narrow;
  Gated gated;
  StepBatcher batcher(backend());
  const Job first =
      batcher.start([&](Evaluator& evaluator) { ask(evaluator, gated.network, rows_at({1}), 1); });
  gated.network.wait_for(1);
  std::vector<Job> jobs;
  for (int i = 0; i < 8; ++i)
    jobs.push_back(batcher.start([&, i](Evaluator& evaluator) {
      EXPECT_EQ(values_of(ask(evaluator, narrow, rows_at({1.0 * i}), 5))[0], 5.0f * static_cast<float>(i));
    }));
  wait_for(batcher, 8);
  gated.open.set_value();
  for (const Job& job : jobs) EXPECT_EQ(job->wait(), Outcome::done);
  EXPECT_EQ(narrow.refused, 3);  // eight, and twice four
}

TEST(StepBatcher, AnErrorMayBeCaughtAndTheJobGoesOn) {
  const AddingNetwork network;
  StepBatcher batcher(backend());
  const Job job = batcher.start([&](Evaluator& evaluator) {
    EXPECT_THROW(ask(evaluator, network, rows_at({-1}), 1), Error);
    EXPECT_EQ(values_of(ask(evaluator, network, rows_at({1}), 2))[0], 2);
  });
  EXPECT_EQ(job->wait(), Outcome::done);
}

TEST(StepBatcher, CancellingEndsAJobWhereItWaits) {
  Gated gated;
  StepBatcher batcher(backend());
  const auto endless = [&](Evaluator& evaluator) { ask(evaluator, gated.network, rows_at({1}), 1 << 30); };
  const Job first = batcher.start(endless);
  gated.network.wait_for(1);
  const Job second = batcher.start(endless), third = batcher.start(endless);
  wait_for(batcher, 2);
  second->cancel();  // not taken up: now, though an evaluation is in progress
  EXPECT_EQ(second->wait(), Outcome::cancelled);
  first->cancel();  // with its evaluation
  EXPECT_FALSE(first->has_ended());
  gated.open.set_value();
  EXPECT_EQ(first->wait(), Outcome::cancelled);
  EXPECT_FALSE(third->has_ended());
  third->cancel();
  third->cancel();
  EXPECT_EQ(third->wait(), Outcome::cancelled);
  third->cancel();
}

TEST(StepBatcher, CancelledBeforeItAsksOrAfterItsLastQuestion) {
  const AddingNetwork network;
  StepBatcher batcher(backend());
  std::promise<void> go, asked, end;
  const Job early = batcher.start([&](Evaluator& evaluator) {
    go.get_future().wait();
    ask(evaluator, network, rows_at({1}), 1);
  });
  early->cancel();
  go.set_value();
  EXPECT_EQ(early->wait(), Outcome::cancelled);
  EXPECT_TRUE(network.take_sizes().empty());
  bool ended = false;
  const Job late = batcher.start([&](Evaluator& evaluator) {
    ask(evaluator, network, rows_at({1}), 1);
    asked.set_value();
    end.get_future().wait();
    ended = true;
  });
  asked.get_future().wait();
  late->cancel();
  end.set_value();
  EXPECT_EQ(late->wait(), Outcome::done);
  EXPECT_TRUE(ended);
}

TEST(StepBatcher, ItsEndCancelsWhatRuns) {
  const AddingNetwork network;
  Job job;
  {
    StepBatcher batcher(backend());
    job = batcher.start([&](Evaluator& evaluator) { ask(evaluator, network, rows_at({1}), 1 << 30); });
    batcher.start([&](Evaluator& evaluator) { ask(evaluator, network, rows_at({1}), 1 << 30); });
    network.wait_for(3);
  }
  EXPECT_TRUE(job->has_ended());
  EXPECT_EQ(job->wait(), Outcome::cancelled);
  job->cancel();
}

// One that takes its time between two questions holds up nobody for long.
TEST(StepBatcher, NobodyWaitsForWhoIsBusy) {
  const AddingNetwork network;
  StepBatcher batcher(backend());
  std::promise<void> end;
  std::shared_future<void> ended = end.get_future().share();
  const Job busy = batcher.start([&, ended](Evaluator& evaluator) {
    ask(evaluator, network, rows_at({1}), 1);
    ended.wait();
  });
  network.wait_for(1);
  const Job other = batcher.start([&](Evaluator& evaluator) { ask(evaluator, network, rows_at({1}), 50); });
  EXPECT_EQ(other->wait(), Outcome::done);
  end.set_value();
  busy->wait();
}

TEST(StepBatcher, ManyJobsComeAndGo) {
  const AddingNetwork network;
  StepBatcher batcher(backend(), 7);
  for (int round = 0; round < 10; ++round) {
    std::vector<Job> jobs;
    for (int i = 0; i < 20; ++i)
      jobs.push_back(batcher.start([&, i](Evaluator& evaluator) {
        const Tensor x = ask(evaluator, network, rows_at({1.0 * i, 2.0 * i}), 1 + i % 5);
        EXPECT_EQ(x.data<float>()[7], static_cast<float>(2 * i * (1 + i % 5)));
      }));
    for (size_t i = 0; i < jobs.size(); i += 3) jobs[i]->cancel();
    for (const Job& job : jobs) job->wait();
  }
}

}  // namespace
}  // namespace tstitch
