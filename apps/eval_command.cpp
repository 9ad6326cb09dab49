#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/json.h"

namespace tstitch {
namespace {

struct EvalArguments : MeasureOptions {
  std::string samples, prompts, save_stats;
  BackendOptions backend{.dtype = "f32"};
  bool json = false, quiet = false;
};

// One set through the network, with a line of progress on a terminal.
SetStatistics measured(PictureSet& set, const FeatureExtractor* network, const FeatureNeeds& needs,
                       bool quiet) {
  const int64_t total = set.pictures ? set.pictures->left() : 0;
  const bool shown = !quiet && isatty(STDERR_FILENO) && network && set.asks_network(needs);
  const SetStatistics statistics = measure(set, network, needs, [&](int64_t seen) {
    end_if_interrupted();
    if (shown)
      std::fprintf(stderr, "\r%s: %lld of %lld pictures", set.path.c_str(), static_cast<long long>(seen),
                   static_cast<long long>(total));
  });
  if (shown) std::fprintf(stderr, "\r\033[K");
  return statistics;
}

// The lines of --prompts: of as many pictures each, one after the other, as `sample` has them.
PicturePrompts read_prompts(const EvalArguments& a, const PictureSet& samples) {
  check(samples.pictures != nullptr, ErrorKind::usage, "--prompts \"", printable(a.prompts),
        "\" says what pictures show, and the samples are statistics, without pictures");
  PicturePrompts prompts;
  std::ifstream file(a.prompts);
  check(file.is_open(), ErrorKind::input, "--prompts \"", printable(a.prompts), "\" cannot be read");
  for (std::string line; std::getline(file, line);) prompts.texts.push_back(line);
  const int64_t pictures = samples.pictures->left(), lines = std::ssize(prompts.texts);
  check(lines > 0 && pictures > 0 && pictures % lines == 0, ErrorKind::usage, "--prompts \"",
        printable(a.prompts), "\" has ", lines, lines == 1 ? " line" : " lines",
        ", expected one for each of the ", pictures, " pictures, or for each so many");
  for (int64_t i = 0; i < pictures; ++i) prompts.of_picture.push_back(i / (pictures / lines));
  return prompts;
}

// Those that are named, else all, but that of prompts where there are none. Statistics can be had without
// anything to compare with: then none but that.
std::vector<Metric> asked_metrics(const EvalArguments& a) {
  if (!a.metrics.empty()) return parse_metrics(a.metrics);
  std::vector<Metric> metrics;
  if (a.save_stats.empty() || !a.reference.empty())
    metrics.assign(std::begin(kAllMetrics), std::end(kAllMetrics));
  std::erase(metrics, Metric::agreement);
  if (!a.prompts.empty()) metrics.push_back(Metric::agreement);
  return metrics;
}

// Of the samples alone, without a reference.
bool is_of_samples(Metric metric) { return metric == Metric::agreement || metric == Metric::inception_score; }

int eval_command(const EvalArguments& a) {
  const std::vector<Metric> asked = asked_metrics(a);
  const Stopwatch stopwatch;
  PictureSet samples = open_picture_set(a.samples);
  check(a.prompts.empty() || std::ranges::count(asked, Metric::agreement), ErrorKind::usage,
        "--prompts is for the metric agreement, which was not asked for");
  if (!a.prompts.empty()) samples.prompts = read_prompts(a, samples);
  const bool compares = !a.reference.empty() || !std::ranges::all_of(asked, is_of_samples);
  PictureSet reference{.path = "", .pictures = nullptr, .stored = {}, .prompts = {}};
  if (compares)
    reference =
        open_picture_set(reference_for(a, samples.pictures ? samples.pictures->picture() : Shape({0, 0, 0})));

  // What the metrics need, and the score of the samples only; whoever saves statistics wants all of them.
  FeatureNeeds needs = needs_of(asked), reference_needs = needs;
  if (!a.save_stats.empty()) needs.pooled = needs.spatial = needs.features = true;
  reference_needs.logits = reference_needs.agreement = false;
  if (compares && !reference.pictures)
    needs.features = needs.features && (!a.save_stats.empty() || reference.stored.features);

  CommandFiles files;
  files.reads("samples", a.samples, {".png"});
  if (!a.prompts.empty()) files.reads("--prompts", a.prompts);
  if (compares) files.reads("--reference", reference.path, {".png"});
  if (samples.asks_network(needs))
    files.reads("--features", feature_file_for(a, samples.pictures->picture()));
  if (!a.save_stats.empty()) {
    check(a.save_stats.ends_with(".npz"), ErrorKind::usage, "--save-stats is \"", printable(a.save_stats),
          "\", expected a name that ends in .npz");
    files.writes("--save-stats", a.save_stats);
  }

  const auto backend = make_backend(a.backend);
  std::unique_ptr<FeatureExtractor> network;
  for (const auto& [set, of_set] : {std::pair(&samples, needs), std::pair(&reference, reference_needs)})
    if (set->asks_network(of_set)) {
      const Shape picture = set->pictures->picture();
      if (!network) network = feature_extractor_for(*backend, a, picture);
      check(network->channels() == picture[2], ErrorKind::input, set->path, ": pictures of ", picture[2],
            picture[2] == 1 ? " channel" : " channels", ", but the feature network takes ",
            network->channels());
    }

  const SetStatistics of_samples = measured(samples, network.get(), needs, a.quiet || a.json);
  SetStatistics of_reference;
  if (compares) of_reference = measured(reference, network.get(), reference_needs, a.quiet || a.json);
  std::vector<Metric> possible = asked;
  if (a.metrics.empty())
    std::erase_if(possible,
                  [&](Metric metric) { return !obstacle(metric, of_samples, of_reference).empty(); });
  const MetricValues values = evaluate(*backend, possible, of_samples, of_reference);
  check(asked.empty() || !values.empty(), ErrorKind::usage, "nothing can be ",
        compares ? "compared" : "evaluated", ": ",
        asked.empty() ? "" : obstacle(asked[0], of_samples, of_reference));
  if (!a.save_stats.empty()) write_statistics(a.save_stats, of_samples);

  nlohmann::ordered_json json = {{"samples", samples.path}, {"pictures", of_samples.pictures}};
  if (compares) json["reference"] = reference.path;
  if (!asked.empty()) {
    for (const auto& [metric, value] : values) json["metrics"][std::string(name_of(metric))] = value;
    if (!a.json && !a.quiet) {
      for (const auto& [metric, value] : values)
        std::printf("%-10s %.6g\n", std::string(name_of(metric)).c_str(), value);
      for (const Metric metric : asked)
        if (const std::string reason = obstacle(metric, of_samples, of_reference); !reason.empty())
          std::printf("%-10s unavailable: %s\n", std::string(name_of(metric)).c_str(), reason.c_str());
    }
    const int64_t width = of_samples.pooled ? of_samples.pooled->width() : 0;
    if (!a.quiet && of_samples.pictures && of_samples.pictures <= width)
      std::fprintf(stderr,
                   "tstitch: warning: %lld pictures are too few for %lld features: their covariance is "
                   "singular, and fid depends on their number\n",
                   static_cast<long long>(of_samples.pictures), static_cast<long long>(width));
  }
  json["seconds"] = stopwatch.seconds();
  json["peak_memory_bytes"] = peak_memory_bytes();
  if (!a.save_stats.empty()) json["outputs"] = {a.save_stats};
  if (a.json)
    std::printf("%s\n", json_text(json).c_str());
  else if (!a.quiet && !a.save_stats.empty())
    std::printf("wrote %s\n", a.save_stats.c_str());
  return kDone;
}

}  // namespace

Command add_eval_command(CLI::App& program) {
  auto* command = program.add_subcommand("eval", "Measure pictures against a reference set: FID and others");
  auto a = std::make_shared<EvalArguments>();
  command
      ->add_option(
          "samples", a->samples,
          "The pictures: an .npz (of `sample -o`, or of statistics or features), or a folder of .png")
      ->required();
  add_measure_options(*command, *a);
  command->get_option("--metrics")
      ->description("Some of " + metric_names() + ", with commas between. Default: all that the sets allow");
  command->add_option("--prompts", a->prompts,
                      "What the samples are to show, for the metric agreement: a text file, a line for each"
                      " picture, or for as many as `sample -b` made of each prompt");
  command->add_option("--save-stats", a->save_stats,
                      "Write the statistics and features of the samples, .npz: a reference for later");
  command->add_option("--device", a->backend.device, "cpu, cuda, cuda:1 ..., or reference")
      ->capture_default_str();
  command->add_option("-t,--threads", a->backend.threads, "Threads, 0 = all processors")
      ->capture_default_str()
      ->check(CLI::Range(0, kMostThreads));
  command->add_flag("--json", a->json, "Print one JSON object and nothing else on stdout");
  command->add_flag("-q,--quiet", a->quiet, "Print nothing but errors");
  return [a] { return eval_command(*a); };
}

}  // namespace tstitch
