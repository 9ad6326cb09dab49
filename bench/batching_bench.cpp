// Small requests one after the other, and side by side through the step batcher: how much faster are many?
//
//   batching_bench [--model fashion-s] [--requests 8] [--steps 20] [--rounds 9] [--threads 0] [--dtype auto]
//
// Every request is one guided picture with steps and a class of its own. Prints the ratio of the wall times
// of both ways of every round: median, least and most.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>

#include "bench/run_bench.h"
#include "tstitch/base/clock.h"
#include "tstitch/condition/class_conditions.h"
#include "tstitch/diffusion/step_batcher.h"
#include "tstitch/engine/run.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

int measure(int argc, char** argv) {
  std::string name = "fashion-s";
  int requests = 8, steps = 20, rounds = 9;
  BackendOptions options;
  CLI::App program("Requests one after the other against requests side by side");
  program.add_option("--model", name)->capture_default_str();
  program.add_option("--requests", requests)->capture_default_str()->check(CLI::Range(1, 256));
  program.add_option("--steps", steps, "Of the first; the others have up to three more")
      ->capture_default_str()
      ->check(CLI::Range(1, 900));
  program.add_option("--rounds", rounds)->capture_default_str()->check(CLI::Range(1, 1000));
  program.add_option("--threads", options.threads)->capture_default_str();
  program.add_option("--dtype", options.dtype)->capture_default_str();
  CLI11_PARSE(program, argc, argv);

  const auto backend = make_backend(options);
  const std::vector<ModelInfo> infos = read_models({.models = {name}});
  const Model model = load_model(infos[0], *backend);
  const EncodedInputs inputs{.conditions = make_condition_makers(*backend, infos, ConditionOptions())};
  std::vector<RunSpec> specs;
  for (int i = 0; i < requests; ++i)
    specs.push_back(make_run_spec(infos, {.fractions = {1},
                                          .steps = std::to_string(steps + i % 4),
                                          .classes = {i % infos[0].condition.num_classes},
                                          .seed = static_cast<uint64_t>(i)}));
  const auto sample = [&](Evaluator& evaluator, const RunSpec& spec) {
    RunObserver silent;
    KeepLatents keep(spec);
    const IndexRange all = {0, spec.images()};
    run(*backend, evaluator, {&model, 1}, spec, {&all, 1}, silent, keep, inputs);
  };
  StepBatcher batcher(*backend);
  const auto one_by_one = [&] {
    const Stopwatch stopwatch;
    DirectEvaluator evaluator;
    for (const RunSpec& spec : specs) sample(evaluator, spec);
    return stopwatch.seconds();
  };
  const auto side_by_side = [&] {
    const Stopwatch stopwatch;
    std::vector<std::shared_ptr<StepBatcher::Job>> jobs;
    for (const RunSpec& spec : specs)
      jobs.push_back(batcher.start([&](Evaluator& evaluator) { sample(evaluator, spec); }));
    for (const auto& job : jobs) job->wait();
    return stopwatch.seconds();
  };

  one_by_one(), side_by_side();  // warm
  std::vector<double> ratios, alone, together;
  for (int i = 0; i < rounds; ++i) {
    alone.push_back(one_by_one());
    together.push_back(side_by_side());
    ratios.push_back(alone.back() / together.back());
  }
  for (std::vector<double>* values : {&ratios, &alone, &together}) std::ranges::sort(*values);
  const auto middle = static_cast<size_t>(rounds / 2);
  std::printf("%s, %d requests: one by one %.1f ms, side by side %.1f ms, ratio %.2f [%.2f, %.2f]\n",
              backend->description().c_str(), requests, 1e3 * alone[middle], 1e3 * together[middle],
              ratios[middle], ratios.front(), ratios.back());
  return 0;
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) { return tstitch::run_bench(tstitch::measure, argc, argv); }
