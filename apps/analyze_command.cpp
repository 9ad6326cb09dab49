#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/divergence_findings.h"
#include "apps/findings.h"
#include "apps/help.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/numbers.h"
#include "tstitch/draw/chart.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/key_values.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/csv.h"
#include "tstitch/io/file.h"
#include "tstitch/io/json.h"
#include "tstitch/tune/block_changes.h"
#include "tstitch/tune/measured_divergence.h"
#include "tstitch/tune/similarity.h"
#include "tstitch/tune/spectrum.h"
#include "tstitch/tune/timing.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

using nlohmann::ordered_json;

// The first lines of the .csv.
constexpr std::string_view kBlocksColumns = "step,t,alpha,sigma,block,change\n",
                           kSpectrumColumns = "step,t,alpha,sigma,frequency,log_amplitude\n",
                           kSimilarityColumns =
                               "of,first,second,step,t,alpha,sigma,cosine_mean,cosine_std,mse,relative_mse\n";

template <class At>  // StepSpectrum, StepSimilarity
ordered_json json_of(const At& at) {
  return {{"step", at.step}, {"t", at.level.t}, {"alpha", at.level.alpha}, {"sigma", at.level.sigma}};
}
template <class At>
std::string csv_of(const At& at) {
  return format("%d,%.9g,%.9g,%.9g", at.step, at.level.t, at.level.alpha, at.level.sigma);
}

// Which blocks to leave out, and in which steps they are to matter little.
struct BlockChoice {
  std::optional<int64_t> count;
  std::string over = "0:1";  // as shares of all steps
};

using StepRange = std::pair<size_t, size_t>;  // first and count

std::string name_of(StepRange steps) {
  return steps.second == 1 ? concat("step ", steps.first + 1)
                           : concat("steps ", steps.first + 1, "-", steps.first + steps.second);
}

StepRange steps_over(const std::string& over, int steps) {
  const auto [low, high] = read_interval("--over", over);
  const GuidanceInterval interval{low, high};
  StepRange range{0, 0};
  for (int step = 0; step < steps; ++step)
    if (interval.holds(step, steps) && range.second++ == 0) range.first = static_cast<size_t>(step);
  check(range.second > 0, ErrorKind::usage, "--over ", printable(over), " holds none of ", steps, " steps");
  return range;
}

Findings describe_blocks(const RunSpec& spec, const ModelInfo& info, const BlockChoice& choice,
                         const std::vector<StepBlockChanges>& steps) {
  constexpr size_t kParts = 4;  // of the trajectory, in the table
  const auto blocks = static_cast<size_t>(info.architecture->blocks());
  const StepRange over = steps_over(choice.over, spec.trajectory.size());
  std::vector<StepRange> parts;
  for (size_t i = 0; i < kParts; ++i) {
    const size_t first = i * steps.size() / kParts, end = (i + 1) * steps.size() / kParts;
    if (end > first) parts.push_back({first, end - first});
  }
  parts.push_back(over);
  std::vector<std::vector<double>> means;
  for (const auto& [first, count] : parts)
    means.push_back(mean_changes(std::span(steps).subspan(first, count)));

  const CheaperForm form{.skip = blocks_to_skip(*info.architecture, means.back(), *choice.count)};
  const double share = info.architecture->flops_in(form, 1, spec.height, spec.width) /
                       info.architecture->flops(spec.height, spec.width);
  Findings findings{.json = {{"blocks", ordered_json::array()},
                             {"skip",
                              {{"steps", {over.first + 1, over.first + over.second}},
                               {"blocks", form.skip},
                               {"form", to_string(form)},
                               {"share_of_operations", share}}}},
                    .csv = std::string(kBlocksColumns),
                    .table = "",
                    .chart = {.title = concat("Blocks of ", info.name, "; ", settings(spec)),
                              .x_label = "block",
                              .y_label = "change, |f(x) - x| / |x|",
                              .series = {}}};
  for (const StepBlockChanges& at : steps) {
    findings.json["blocks"].push_back(json_of(at));
    findings.json["blocks"].back()["changes"] = at.changes;
    for (size_t block = 0; block < blocks; ++block)
      findings.csv += csv_of(at) + format(",%zu,%.9g\n", block, at.changes[block]);
  }
  std::vector<double> numbers(blocks);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  findings.table += format("%6s", "block");
  for (size_t i = 0; i < parts.size(); ++i) {
    findings.table += format(" %13s", name_of(parts[i]).c_str());
    if (i + 1 < parts.size())
      findings.chart.series.push_back({.name = name_of(parts[i]),
                                       .x = numbers,
                                       .y = means[i],
                                       .dots = blocks == 1,
                                       .shade = static_cast<double>(i) / static_cast<double>(kParts)});
  }
  findings.table += "\n";
  for (size_t block = 0; block < blocks; ++block) {
    findings.table += format("%6zu", block);
    for (const std::vector<double>& mean : means) findings.table += format(" %13.5f", mean[block]);
    findings.table += std::ranges::count(form.skip, static_cast<int64_t>(block)) ? "  least\n" : "\n";
  }
  findings.table +=
      concat("least in ", name_of(over), ": ", to_string(form), ", which leaves ", std::lround(100 * share),
             " % of the operations",
             over.first == 0 && over.second < steps.size()
                 ? concat("; --twin ", to_string(form), " --ratio ",
                          number_text(static_cast<double>(over.second) / static_cast<double>(steps.size())))
                 : concat("; --stage or --twin ", to_string(form)),
             "\n");
  return findings;
}

Findings describe_spectrum(const RunSpec& spec, const std::vector<ModelInfo>& infos,
                           const std::vector<StepSpectrum>& steps) {
  const std::vector<double> frequencies = LogAmplitude::frequencies(spec.height, spec.width);
  Findings findings{
      .json = {{"frequencies", frequencies}, {"spectrum", ordered_json::array()}},
      .csv = std::string(kSpectrumColumns),
      .table = format("%6s %9s  %12s %12s %12s\n", "step", "timestep", "lowest", "middle", "highest"),
      .chart = {.title = concat(describe(spec, infos), "; ", settings(spec)),
                .x_label = "spatial frequency of the latent / π",
                .y_label = "log amplitude",
                .series = {}}};
  for (const StepSpectrum& at : steps) {
    ordered_json entry = json_of(at);
    entry["log_amplitude"] = at.radial;
    if (!at.diagonal.empty()) entry["diagonal"] = at.diagonal;
    findings.json["spectrum"].push_back(entry);
    for (size_t i = 0; i < frequencies.size(); ++i)
      findings.csv += csv_of(at) + format(",%.9g,%.9g\n", frequencies[i], at.radial[i]);
  }
  for (const size_t i : spread(steps.size(), kShown)) {
    const StepSpectrum& at = steps[i];
    const bool end = i + 1 == steps.size();
    findings.table +=
        format("%6d %9s  %12.4f %12.4f %12.4f\n", at.step, end ? "end" : format("%g", at.level.t).c_str(),
               at.radial.front(), at.radial[at.radial.size() / 2], at.radial.back());
    findings.chart.series.push_back(
        {.name = end ? "end" : format("t = %.0f", at.level.t),
         .x = frequencies,
         .y = at.radial,
         .dots = frequencies.size() == 1,
         .shade = static_cast<double>(i) / static_cast<double>(steps.size() - 1)});
  }
  return findings;
}

struct Comparison {
  const char *of, *details;  // what is compared
  std::vector<PairSimilarity> pairs;
};

Findings describe_similarity(const RunSpec& spec, const std::vector<ModelInfo>& infos,
                             const std::vector<Comparison>& comparisons) {
  Findings findings{.json = {{"similarity", ordered_json::array()}},
                    .csv = std::string(kSimilarityColumns),
                    .table = "",
                    .chart = {.title = concat(join(names_of(infos)), ": ", settings(spec)),
                              .x_label = "steps taken",
                              .y_label = "cosine similarity",
                              .series = {}}};
  for (const Comparison& comparison : comparisons)
    for (const PairSimilarity& pair : comparison.pairs) {
      const std::string &first = infos[static_cast<size_t>(pair.first)].name,
                        &second = infos[static_cast<size_t>(pair.second)].name;
      const std::string title = infos.size() == 2 ? concat(comparison.of, " ", comparison.details)
                                                  : concat(comparison.of, " of ", first, " and ", second);
      ordered_json entries = ordered_json::array();
      Chart::Series series{.name = title, .x = {}, .y = {}, .dots = false};
      for (const StepSimilarity& at : pair.steps) {
        entries.push_back(json_of(at));
        entries.back().update({{"cosine_mean", at.cosine.mean},
                               {"cosine_std", at.cosine.deviation},
                               {"mse", at.mse},
                               {"relative_mse", at.relative_mse}});
        findings.csv +=
            concat(comparison.of, ",", csv_field(first), ",", csv_field(second), ",", csv_of(at)) +
            format(",%.9g,%.9g,%.9g,%.9g\n", at.cosine.mean, at.cosine.deviation, at.mse, at.relative_mse);
        series.x.push_back(at.step);
        series.y.push_back(at.cosine.mean);
        // Bands of several pairs would hide each other.
        if (infos.size() == 2) series.error.push_back(at.cosine.deviation);
      }
      findings.json["similarity"].push_back(
          {{"of", comparison.of}, {"models", {first, second}}, {"steps", entries}});
      findings.chart.series.push_back(series);
      findings.table +=
          title + format("\n%6s %9s  %10s %10s %12s\n", "steps", "timestep", "cosine", "std", "relative mse");
      for (const size_t i : spread(pair.steps.size(), kShown)) {
        const StepSimilarity& at = pair.steps[i];
        findings.table += format("%6d %9g  %10.5f %10.5f %12.4g\n", at.step, at.level.t, at.cosine.mean,
                                 at.cosine.deviation, at.relative_mse);
      }
    }
  return findings;
}

// The name of the picture does not say that anybody's files of its stem would be replaced; an earlier
// analysis is known by the .csv.
void check_is_analysis(const std::string& stem) {
  const auto is_csv_with = [&](std::string_view columns) {
    return read_part(stem + ".csv", 0, columns.size()) == columns;
  };
  for (const std::string_view columns :
       {kBlocksColumns, kSpectrumColumns, kSimilarityColumns, kDivergenceColumns})
    if (is_csv_with(columns)) return;
  for (const char* ending : {".json", ".csv", ".svg"}) {
    std::error_code ignored;
    check(!std::filesystem::exists(stem + ending, ignored), ErrorKind::usage, "\"", printable(stem + ending),
          "\" would be replaced and is not of an analysis: move it away, or name another --output");
  }
}

// Writes STEM.json, .csv, .svg and .png. Returns the report.
std::string write(const std::string& stem, const Findings& findings, ordered_json report) {
  report.update(findings.json);
  for (const char* ending : {".json", ".csv", ".svg", ".png"}) report["outputs"].push_back(stem + ending);
  const std::string text = json_text(report) + "\n";
  AtomicFiles files;
  files.add(stem + ".json", text);
  files.add(stem + ".csv", findings.csv);
  for (const char* ending : {".svg", ".png"})
    files.add(stem + ending, encode_chart(stem + ending, findings.chart));
  files.commit();
  return text;
}

// analysis(engine, observer): the findings, or nothing when the observer has ended it. pictures: whether it
// decodes. beside: bytes that it holds beside the runs.
template <class Analysis>
int analyze(const Arguments& a, const std::string& name, const Asked& asked, const RunSpec& spec,
            std::span<const RunSpec> loaded, bool pictures, const Analysis& analysis, int64_t beside = 0) {
  check_only_process("analyze");
  const std::vector<ModelInfo>& infos = asked.models;
  constexpr std::string_view kEnding = ".png";
  const std::string output = a.output.empty() ? name + ".png" : a.output;
  check(output.ends_with(kEnding), ErrorKind::usage, "--output is \"", printable(output),
        "\", expected a name that ends in .png");
  const std::string stem = output.substr(0, output.size() - kEnding.size());
  check_effective(a.said, spec, infos);
  CommandFiles files = inputs_of(asked);
  for (const char* ending : {".json", ".csv", ".svg", ".png"}) files.writes("--output", stem + ending);
  check_is_analysis(stem);

  print_what_is_left_out(a, infos);
  Engine engine(infos, asked.options.backend, asked.options.vae);
  const std::string device = engine.backend().description();
  const bool talk = !a.json && !a.quiet;
  if (talk)
    std::printf("%s, %lld images\n%s; %s\n", device.c_str(), static_cast<long long>(spec.images()),
                describe(spec, infos).c_str(), settings(spec).c_str());
  if (!engine.load(loaded, pictures, interrupted, beside)) return report_interrupted();
  const std::optional<Findings> findings = analysis(engine, *progress_of(a, infos, Show::bar));
  if (!findings) return report_interrupted();
  const std::string report =
      write(stem, *findings, ordered_json::parse(json_spec(spec, engine.models(), device)));
  if (a.json)
    std::fputs(report.c_str(), stdout);
  else if (talk)
    std::printf("%swrote %s, .svg, .csv and .json\n", findings->table.c_str(), output.c_str());
  return kDone;
}

int blocks_command(const Arguments& a, BlockChoice choice) {
  Said said = a.said;
  if (!models_said(said)) said["model"] = {builtin_names(says_text(said)).back()};
  const Asked asked = read_asked(said);
  check(asked.models.size() == 1, ErrorKind::usage, "analyze blocks is about one model, and there are ",
        asked.models.size(), ": expected one --model");
  const ModelInfo& info = asked.models[0];
  const int64_t blocks = info.architecture->blocks();
  check(blocks > 1, ErrorKind::usage, info.name, " is a ", info.architecture->name(), " with ", blocks,
        blocks == 1 ? " block" : " blocks", ": nothing may be left out");
  const int64_t most = most_blocks_to_skip(*info.architecture);
  check(most > 0, ErrorKind::usage, info.name, " is a ", info.architecture->name(), ", and none of its ",
        blocks, " blocks may be left out: each is the only one of its transformer");
  if (!choice.count) choice.count = std::clamp<int64_t>(blocks / 4, 1, most);
  check(1 <= *choice.count && *choice.count <= most, ErrorKind::usage, "--count is ", *choice.count,
        ", expected 1 ... ", most, " of the ", blocks, " blocks: more may not be left out together");
  const RunSpec spec = make_run_spec(asked.models, asked.options);
  steps_over(choice.over, spec.trajectory.size());
  return analyze(a, "blocks", asked, spec, {&spec, 1}, false,
                 [&](Engine& engine, RunObserver& observer) -> std::optional<Findings> {
                   const auto steps =
                       block_changes(engine.backend(), engine.models(), spec, observer, engine.inputs());
                   if (steps.empty()) return std::nullopt;
                   return describe_blocks(spec, info, choice, steps);
                 });
}

int spectrum_command(const Arguments& a) {
  const Asked asked = read_asked(a.said);
  const std::vector<ModelInfo>& infos = asked.models;
  const RunSpec spec = make_run_spec(infos, asked.options);
  return analyze(a, "spectrum", asked, spec, {&spec, 1}, false,
                 [&](Engine& engine, RunObserver& observer) -> std::optional<Findings> {
                   const auto steps =
                       latent_spectrum(engine.backend(), engine.models(), spec, observer, engine.inputs());
                   if (steps.empty()) return std::nullopt;
                   return describe_spectrum(spec, infos, steps);
                 });
}

// The spec served by each of the models alone.
std::vector<RunSpec> each_alone(const RunSpec& spec, size_t models) {
  std::vector<RunSpec> alone;
  for (size_t i = 0; i < models; ++i) alone.push_back(served_by(spec, static_cast<int>(i)));
  return alone;
}

void check_no_shares_of(const Asked& asked, const std::string& analysis, const char* who) {
  check(asked.options.fractions.empty() && asked.options.switch_steps.empty(), ErrorKind::usage, analysis,
        " lets ", who, " take all steps: a --stage with share= or until= has no effect");
}

int similarity_command(const Arguments& a) {
  const Asked asked = read_asked(a.said);
  const std::vector<ModelInfo>& infos = asked.models;
  check_no_shares_of(asked, "similarity", "each model");
  check(infos.size() >= 2, ErrorKind::usage, "similarity is between two models or more, but there is 1");
  const RunSpec spec = make_spec_of_steps(infos, asked.options);
  const std::vector<RunSpec> alone = each_alone(spec, infos.size());  // each model drives once
  for (const RunSpec& driven : alone) check_forms(driven);
  check_asks_once(alone, infos);
  return analyze(
      a, "similarity", asked, alone.back(), alone, false,
      [&](Engine& engine, RunObserver& observer) -> std::optional<Findings> {
        const auto compare = [&](const auto& similarity) {
          return similarity(engine.backend(), engine.models(), alone.back(), observer, engine.inputs());
        };
        Comparison predictions{"predictions", "at the same latents", compare(prediction_similarity)};
        if (predictions.pairs.empty()) return std::nullopt;
        Comparison latents{"latents", "when each samples alone", compare(latent_similarity)};
        if (latents.pairs.empty()) return std::nullopt;
        return describe_similarity(spec, infos, {std::move(predictions), std::move(latents)});
      });
}

struct DivergenceArguments : Arguments {
  std::vector<std::string> forms;
  std::optional<double> sigma_data;
  bool measure_weights = false;
};

int divergence_command(const DivergenceArguments& a) {
  const Asked asked = read_asked(with_forms(a.said, a.forms));
  const std::vector<ModelInfo>& infos = asked.models;
  check_no_shares_of(asked, "divergence", "the last model");
  check(
      infos.size() >= 2, ErrorKind::usage,
      "divergence is of other models or forms from the last model, but there is 1: expected another --model,"
      " or a --form of it");
  check_compares(infos);
  const double sigma_data = a.sigma_data.value_or(kSigmaData);
  check(std::isfinite(sigma_data) && sigma_data > 0, ErrorKind::usage, "--sigma-data is ", sigma_data,
        ", expected a number above 0");
  const RunSpec spec = make_run_spec(infos, asked.options);
  if (a.measure_weights) check_weights_tell(infos, spec);
  const std::vector<RunSpec> alone = each_alone(spec, infos.size());
  return analyze(
      a, "divergence", asked, alone.back(), alone, is_decodable(infos.back(), asked.options.vae),
      [&](Engine& engine, RunObserver& observer) -> std::optional<Findings> {
        MeasuredDivergence measured = nothing_measured(
            alone.back(), infos, contents_of_models(infos, end_if_interrupted), engine.backend(), sigma_data);
        measured.divergence = measure_divergence(engine.backend(), engine.models(), alone.back(), observer,
                                                 engine.inputs(), sigma_data);
        if (measured.divergence.forms.empty()) return std::nullopt;
        measured.weighed = a.measure_weights;
        if (a.measure_weights && !measure_weights(engine.backend(), engine.models(), alone.back(), observer,
                                                  engine.inputs(), sigma_data, measured.divergence))
          return std::nullopt;
        measured.times =
            engine.time_evaluations(alone.back(), askings_of(alone.back(), measured.divergence), interrupted);
        if (measured.times.empty()) return std::nullopt;
        measured.decoding = engine.time_decoding(alone.back());
        measured.autoencoder = describe_autoencoder(engine.autoencoder());
        return describe_divergence(alone.back(), measured);
      },
      divergence_bytes(infos, spec, spec.images()));
}

}  // namespace

Command add_analyze_command(CLI::App& program) {
  auto* command = program.add_subcommand("analyze", "Measure what stitching rests on, as curves and numbers");
  command->require_subcommand(1);
  auto* blocks = command->add_subcommand(
      "blocks",
      "How much each block of a model changes what it is given, step by step, and which to leave out");
  auto* spectrum = command->add_subcommand(
      "spectrum", "How much of each spatial frequency is in the latents, step by step");
  auto* similarity =
      command->add_subcommand("similarity",
                              "How alike the models are, step by step: their predictions at the same "
                              "latents, those of the last model's"
                              " trajectory, and the latents of trajectories that each model takes alone");
  auto* divergence = command->add_subcommand(
      "divergence",
      "How far other models and cheaper forms are from the last model, step by step along its trajectory, and"
      " what an evaluation of each takes: for plan --divergence");
  auto arguments = std::make_shared<DivergenceArguments>();
  auto choice = std::make_shared<BlockChoice>();
  blocks->add_option("--count", choice->count,
                     "How many blocks to leave out. Default: a quarter of them, or as many as may be");
  blocks->add_option("--over", choice->over,
                     "The steps in which they are to change least, LOW:HIGH as shares of all. Default: 0:1");
  for (auto* analysis : {blocks, spectrum, similarity, divergence}) {
    if (analysis == blocks)
      add_run_options(*analysis, *arguments,
                      {"small", "large", "stage", "twin", "control_net", "ratio", "fractions", "switch_step",
                       "switch", "switch_threshold", "switch_rule", "solver_reset", "num_fid_samples"});
    else if (analysis == spectrum)
      add_run_options(*analysis, *arguments, {"switch", "switch_threshold", "num_fid_samples"});
    else
      add_run_options(*analysis, *arguments,
                      {"ratio", "fractions", "switch_step", "switch", "switch_threshold", "switch_rule",
                       "num_fid_samples"});
    analysis->get_option("--output")
        ->description("A .png file; .svg, .csv and .json of the same name go beside it. Default: " +
                      analysis->get_name() + ".png");
  }
  blocks->get_option("--model")->description(concat(
      "The one model: a checkpoint (.safetensors, .gguf, .pt, .ckpt, .bin), a folder of diffusers, or a"
      " demo model. Default: ",
      builtin_names().back(),
      builtin_names(true) == builtin_names() ? "" : concat("; with --prompt ", builtin_names(true).back())));
  add_form_option(*divergence, arguments->forms);
  divergence
      ->add_option(
          "--sigma-data", arguments->sigma_data,
          "s of the weights of steps, the deviation of the data were they Gaussian: the larger, the less"
          " are early errors forgotten (docs/analyses.md). Default: 4")
      ->group(more(kTrajectory));
  divergence
      ->add_flag(
          "--measure-weights", arguments->measure_weights,
          "Measure the weights of steps, too, by thirteen runs more: the last model's alone, and with a"
          " single step of another form")
      ->group(std::string(kTrajectory));
  return [=] {
    return blocks->parsed()       ? blocks_command(*arguments, *choice)
           : spectrum->parsed()   ? spectrum_command(*arguments)
           : similarity->parsed() ? similarity_command(*arguments)
                                  : divergence_command(*arguments);
  };
}

}  // namespace tstitch
