#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "apps/arguments.h"
#include "apps/choose.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/npy.h"
#include "tstitch/output/open_output.h"
#include "tstitch/output/rank.h"

namespace tstitch {
namespace {

// Decides where pictures go; nowhere when only latents are wanted, or can be had in a dry run.
std::string picture_output(const Arguments& a, const ModelInfo& model) {
  if (a.output.empty() && (!a.save_latent.empty() || (a.dry_run && !is_decodable(model, a.vae)))) return "";
  check_decodable(model, a.vae);
  return a.output.empty() ? "output.png" : a.output;
}

void print_steps(const RunSpec& spec, const std::vector<ModelInfo>& infos) {
  std::printf("%6s %9s %10s %10s  %s\n", "step", "timestep", "alpha", "sigma", "model");
  for (const Step& step : spec.trajectory)
    std::printf(
        "%6d %9g %10.6f %10.6f  %s\n", step.index + 1, step.level.t, step.level.alpha, step.level.sigma,
        spec.switch_threshold ? "as each image" : infos[static_cast<size_t>(step.denoiser)].name.c_str());
}

// A name each for a few files, the folder for many.
void print_outputs(const std::vector<std::string>& outputs, const std::string& folder) {
  constexpr size_t kFew = 16;
  if (outputs.size() > kFew)
    std::printf("wrote %zu pictures to %s\n", outputs.size(), folder.c_str());
  else
    for (const std::string& path : outputs) std::printf("wrote %s\n", path.c_str());
}

struct SampleArguments : Arguments, ChooseArguments {
  std::string plan;
};

int sample_command(const SampleArguments& a) {
  const std::vector<ModelInfo> infos = read_models(a);
  const SampleOptions options = sample_options(a, infos);
  check(a.plan.empty() || a.budget.empty(), ErrorKind::usage, "--plan and --budget exclude each other");
  std::optional<Goal> goal;
  if (!a.budget.empty()) {
    goal = goal_of(a);
    check(infos.size() >= 2, ErrorKind::usage,
          "--budget chooses among the trajectories of two models or more");
    check_no_shares(options, "--budget");
  }
  // With a budget it is only known who serves which step once the models have been timed.
  RunSpec spec = !a.budget.empty() ? spec_of_all(infos, options)
                 : !a.plan.empty() ? chosen_run(infos, options, read_chosen_trajectory(a.plan), a.steps_given)
                                   : make_run_spec(infos, options);
  const std::string path = picture_output(a, infos.back());
  CommandFiles files = inputs_of(a, infos);
  files.reads("--plan", a.plan);
  files.reads("--curve", a.curve);
  if (!path.empty() && !a.dry_run) files.writes_pictures("--output", path);
  if (spec.init_image) check_decodable(infos.back(), a.vae);
  if (!a.save_latent.empty()) {
    check(a.save_latent.ends_with(".npy"), ErrorKind::usage, "--save-latent is \"", printable(a.save_latent),
          "\", expected a name that ends in .npy");
    files.writes("--save-latent", a.save_latent);
  }
  const Rank rank = find_rank(a.rank, a.world_size, [](const char* name) { return std::getenv(name); });
  check(a.save_latent.empty() || (!a.resume && rank.count == 1), ErrorKind::usage,
        "--save-latent keeps the latents of all images: it goes with neither --resume nor several ranks");

  check(!(spec.switch_threshold && a.dry_run), ErrorKind::usage,
        "--dry-run: how long --switch auto takes is only known once the images have been sampled");

  Engine engine(infos, a.backend, a.vae);
  if (!a.budget.empty()) {
    if (!engine.load({&spec, 1}, !path.empty(), interrupted)) return report_interrupted();
    const auto choice = choose_trajectory(engine, options, *goal, a.steps_given, interrupted);
    if (!choice) return report_interrupted();
    spec = chosen_run(infos, options, *choice, a.steps_given);
    if (!a.json && !a.quiet) print(*choice);
  }
  std::unique_ptr<PictureOutput> output;
  if (!path.empty() && !a.dry_run)
    output = open_output({.path = path,
                          .rank = rank,
                          .resume = a.resume,
                          .images_per_subject = a.sample.random_classes ? 1 : a.sample.batch_count,
                          .between = end_if_interrupted},
                         spec, infos, a.vae, engine.backend());
  if (!a.json && !a.quiet) {
    std::printf("%s, %s, %lld image%s, seed %llu\n", engine.backend().description().c_str(),
                spec.sampler.c_str(), static_cast<long long>(spec.images()), spec.images() == 1 ? "" : "s",
                static_cast<unsigned long long>(spec.seed));
    if (rank.count > 1)
      std::printf("rank %lld of %lld (%s): images %s\n", static_cast<long long>(rank.index),
                  static_cast<long long>(rank.count), rank.source.c_str(),
                  to_string({block_of(rank, spec.images())}).c_str());
    if (output && total(output->missing()) < block_of(rank, spec.images()).count)
      std::printf("%lld images are left to sample\n", static_cast<long long>(total(output->missing())));
    std::printf("%s\n", describe(spec, infos).c_str());
    if (a.verbose) print_steps(spec, infos);
    std::fflush(stdout);
  }
  if (a.budget.empty() && !engine.load({&spec, 1}, !path.empty(), interrupted))
    return report_interrupted(output ? output->kept() : "");

  if (a.dry_run) {
    const double seconds = engine.estimate(spec, interrupted);
    if (interrupted()) return report_interrupted();
    if (a.json)
      std::printf("%s\n",
                  json_estimate(spec, engine.models(), engine.backend().description(), seconds).c_str());
    else if (!a.quiet)
      std::printf("estimated time: %.2f s\n", seconds);
    return kDone;
  }

  std::optional<KeepLatents> latents;
  if (!a.save_latent.empty()) latents.emplace(spec);
  RunResult result;
  std::vector<std::string> outputs;
  try {
    const std::vector<IndexRange> images =
        output ? output->missing() : std::vector<IndexRange>{{0, spec.images()}};
    result = engine.sample(spec, images,
                           *progress_of(a, infos, is_resumable(path) ? Show::images : Show::bar_or_lines),
                           output.get(), latents ? &*latents : nullptr);
    if (result.cancelled) return report_interrupted(output ? output->kept() : "");
    if (latents) {
      write_npy(a.save_latent, latents->latents());
      outputs.push_back(a.save_latent);
    }
    if (output)
      for (const std::string& file : output->finish()) outputs.push_back(file);
  } catch (const Error& error) {
    add_what_is_kept(error, output ? output->kept() : "");
  }

  if (a.json) {
    std::printf("%s\n",
                json_report(spec, engine.models(), result, engine.backend().description(), outputs).c_str());
  } else if (!a.quiet) {
    print_times(engine, result);
    if (spec.switch_threshold)
      std::printf("%s served %.1f of %d steps on average\n", infos[0].name.c_str(), mean_small_steps(result),
                  spec.trajectory.size());
    print_outputs(outputs, path);
    if (output && !output->next_step().empty()) std::printf("%s\n", output->next_step().c_str());
  }
  return kDone;
}

}  // namespace

Command add_sample_command(CLI::App& program) {
  auto* command = program.add_subcommand("sample", "Sample images along a stitched trajectory");
  auto arguments = std::make_shared<SampleArguments>();
  add_common_options(*command, *arguments);
  add_share_options(*command, *arguments);
  add_sample_options(*command, *arguments);
  add_choose_options(*command, *arguments);
  command
      ->add_option("--plan", arguments->plan,
                   "Take sampler, steps and trajectory from a plan of `tstitch plan -o`")
      ->group("Plan");
  return [arguments, command] {
    arguments->steps_given = command->count("--steps") > 0;
    for (const char* option : {"--curve", "--metric", "--probes", "--any-order"})
      check(!arguments->budget.empty() || command->count(option) == 0, ErrorKind::usage, option,
            " is for --budget, which was not given");
    return sample_command(*arguments);
  };
}

}  // namespace tstitch
