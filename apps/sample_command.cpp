#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "apps/arguments.h"
#include "apps/choose.h"
#include "apps/commands.h"
#include "apps/files_of_server.h"
#include "apps/help.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/report.h"
#include "tstitch/engine/take_loras.h"
#include "tstitch/io/npy.h"
#include "tstitch/output/open_output.h"
#include "tstitch/output/rank.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

struct SampleArguments : Arguments, ChooseArguments {
  std::string plan, like, save_latent;
  std::optional<int64_t> rank, world_size;
  bool resume = false, dry_run = false, verbose = false, no_metadata = false;

  bool talks() const { return !json && !quiet; }
};

// What a plan says where the user is silent, and a picture where both are. said: as find_files_of_server
// leaves it.
Said said_before(const SampleArguments& a, const std::optional<ChosenTrajectory>& plan, Said& said) {
  Said before = plan ? with_choice(a.said, *plan) : Said();
  if (!a.like.empty()) {
    Said like = read_png_options(a.like);
    find_files_of_server(a.like, a.said, like, said);
    if (!a.budget.empty())
      for (const std::string_view shares : kShareFields) like.erase(std::string(shares));
    before = merged(like, before);
  }
  return plan ? with_models(before, a.said, *plan) : before;
}

// Decides where pictures go; nowhere when only latents are wanted, or can be had in a dry run.
std::string picture_output(const SampleArguments& a, const Asked& asked) {
  const std::string& vae = asked.options.vae;
  const ModelInfo& model = asked.models.back();
  if (a.output.empty() && (!a.save_latent.empty() || (a.dry_run && !is_decodable(model, vae)))) return "";
  check_decodable(model, vae);
  return a.output.empty() ? "output.png" : a.output;
}

void check_files(const SampleArguments& a, const Asked& asked, const std::string& path) {
  CommandFiles files = inputs_of(asked);
  files.reads("--plan", a.plan);
  files.reads("--curve", a.curve);
  files.reads("--divergence", a.divergence);
  files.reads("--like", a.like);
  if (!path.empty() && !a.dry_run) files.writes_pictures("--output", path);
  if (a.save_latent.empty()) return;
  check(a.save_latent.ends_with(".npy"), ErrorKind::usage, "--save-latent is \"", printable(a.save_latent),
        "\", expected a name that ends in .npy");
  files.writes("--save-latent", a.save_latent);
}

// Throws Error{usage} for what has no effect, or would have another one, in company.
void check_company(const SampleArguments& a, const RunSpec& spec, const Rank& rank) {
  const auto refuse = [](bool wrong, const auto&... why) { check(!wrong, ErrorKind::usage, why...); };
  refuse(!a.plan.empty() && !a.budget.empty(), "--plan and --budget exclude each other");
  refuse(!a.save_latent.empty() && (a.resume || rank.count > 1),
         "--save-latent keeps the latents of all images: it goes with neither --resume nor several ranks");
  refuse(a.dry_run && (a.resume || !a.save_latent.empty() || a.no_metadata),
         "--dry-run samples nothing: it goes with neither --resume nor --save-latent nor --no-metadata");
  refuse(a.no_metadata && (a.output.ends_with(".npz") || (a.output.empty() && !a.save_latent.empty())),
         "--no-metadata is about .png files, of which this run writes none");
  refuse(a.verbose && !a.talks(), "--verbose prints the steps, which --quiet and --json leave out");
  refuse(a.dry_run && spec.switch_threshold.has_value(),
         "--dry-run: how long --switch auto takes is only known once the images have been sampled");
  refuse(rank.count > 1 && !a.budget.empty(), rank.count, " ranks (", rank.source,
         ") would each choose a trajectory of their own: make a plan first, with tstitch plan --budget ",
         printable(a.budget), " -o plan.json, and share that with --plan");
  const auto seed = a.said.find("seed");
  refuse(rank.count > 1 && seed != a.said.end() && seed->second == Texts{"-1"}, rank.count, " ranks (",
         rank.source, ") would each draw a seed of their own: name one with --seed");
}

void print_steps(const RunSpec& spec, const std::vector<ModelInfo>& infos) {
  std::printf("%6s %9s %10s %10s  %s\n", "step", "timestep", "alpha", "sigma", "model");
  for (const Step& step : spec.trajectory)
    std::printf(
        "%6d %9g %10.6f %10.6f  %s\n", step.index + 1, step.level.t, step.level.alpha, step.level.sigma,
        spec.switch_threshold ? "as each image" : infos[static_cast<size_t>(step.denoiser)].name.c_str());
}

void print_heading(const SampleArguments& a, const RunSpec& spec, Engine& engine, const Rank& rank,
                   const PictureOutput* output) {
  std::printf("%s, %s, %lld image%s, seed %llu\n", engine.description().c_str(), spec.options.sampler.c_str(),
              static_cast<long long>(spec.images()), spec.images() == 1 ? "" : "s",
              static_cast<unsigned long long>(spec.options.seed));
  const IndexRange block = block_of(rank, spec.images());
  if (rank.count > 1)
    std::printf("rank %lld of %lld (%s): images %s\n", static_cast<long long>(rank.index),
                static_cast<long long>(rank.count), rank.source.c_str(), to_string({block}).c_str());
  if (output && total(output->missing()) < block.count)
    std::printf("%lld images are left to sample\n", static_cast<long long>(total(output->missing())));
  std::printf("%s\n", describe(spec, engine.infos()).c_str());
  for (const std::string& line : describe_controls(spec, engine.infos()))
    std::printf("ControlNet %s\n", line.c_str());
  if (a.verbose) {
    for (const std::string& line : describe_loras(engine.infos())) std::printf("LoRA %s\n", line.c_str());
    for (const std::string& line : describe_embeddings(spec)) std::printf("Embedding %s\n", line.c_str());
    print_steps(spec, engine.infos());
  }
  std::fflush(stdout);
}

// A name each for a few files, the folder for many.
void print_outputs(const std::vector<std::string>& outputs, const std::string& folder) {
  constexpr size_t kFew = 16;
  if (outputs.size() > kFew)
    std::printf("wrote %zu pictures to %s\n", outputs.size(), folder.c_str());
  else
    for (const std::string& path : outputs) std::printf("wrote %s\n", path.c_str());
}

int print_estimate(const SampleArguments& a, const RunSpec& spec, Engine& engine) {
  const double seconds = engine.estimate(spec, interrupted);
  if (interrupted()) return report_interrupted();
  if (a.json)
    std::printf("%s\n", json_estimate(spec, engine.models(), engine.description(), seconds).c_str());
  else if (!a.quiet)
    std::printf("estimated time: %.*f s\n", seconds < 1 ? 3 : seconds < 10 ? 1 : 0, seconds);
  return kDone;
}

int sample_command(const SampleArguments& a) {
  std::optional<ChosenTrajectory> choice;
  if (!a.plan.empty()) choice = read_chosen_trajectory(a.plan);
  Said said = a.said;
  const Said before = said_before(a, choice, said);
  if (choice) check_models_said(merged(before, a.said), *choice);
  std::optional<Goal> goal;
  if (!a.budget.empty()) goal = goal_of(a, merged(before, a.said));
  const Asked asked = read_asked(said, before);
  const std::vector<ModelInfo>& infos = asked.models;
  if (goal) {
    check(infos.size() >= 2, ErrorKind::usage,
          "--budget chooses among the trajectories of two models or more");
    check_no_shares(asked.options, "--budget");
  }
  if (choice) check_models(infos, *choice);
  // With a budget it is only known who serves which step once the models have been timed.
  RunSpec spec =
      goal ? spec_of_all(infos, asked.options, goal->curve.has_value()) : make_run_spec(infos, asked.options);
  if (choice) check_chosen(spec, *choice);
  check_effective(a.said, spec, infos);
  if (choice) check_made_with(choice->made_with, spec, infos, end_if_interrupted);
  // What a plan or a picture says may serve other trajectories.
  if (before.empty()) check_loras_serve(spec, infos);
  const Rank rank = find_rank(a.rank, a.world_size, [](const char* name) { return std::getenv(name); });
  check_company(a, spec, rank);
  const std::string path = picture_output(a, asked);
  check_files(a, asked, path);
  if (spec.options.init_image) check_decodable(infos.back(), spec.options.vae);

  Engine engine(infos, spec.options.backend, spec.options.vae);
  if (goal) {
    check_divergence(engine, spec, *goal, end_if_interrupted);
    if (!engine.load({&spec, 1}, !path.empty(), interrupted, bytes_of_choosing(infos, spec, *goal)))
      return report_interrupted();
    choice = choose_trajectory(engine, asked.options, *goal, interrupted);
    if (!choice) return report_interrupted();
    spec = chosen_run(infos, asked.options, *choice);
    if (a.talks()) print(*choice);
  }
  std::unique_ptr<PictureOutput> output;
  if (!path.empty() && !a.dry_run)
    output = open_output({.path = path,
                          .rank = rank,
                          .resume = a.resume,
                          .metadata = !a.no_metadata,
                          .between = end_if_interrupted},
                         spec, infos, spec.options.vae, engine.backend());
  const auto kept = [&] { return output ? output->kept() : ""; };
  print_what_is_left_out(a, infos);
  print_what_saves_nothing(a, spec, infos);
  if (a.talks()) print_heading(a, spec, engine, rank, output.get());
  if (!goal && !engine.load({&spec, 1}, !path.empty(), interrupted)) return report_interrupted(kept());
  if (a.dry_run) return print_estimate(a, spec, engine);

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
    if (result.cancelled) return report_interrupted(kept());
    if (latents) {
      write_npy(a.save_latent, latents->latents());
      outputs.push_back(a.save_latent);
    }
    if (output)
      for (const std::string& file : output->finish()) outputs.push_back(file);
  } catch (const Error& error) {
    add_what_is_kept(error, kept());
  }

  if (a.json) {
    std::printf("%s\n", json_report(spec, engine.models(), result, engine.description(), outputs).c_str());
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
  auto a = std::make_shared<SampleArguments>();
  const std::string run(kRun), images(kImages);
  add_run_options(*command, *a, {});
  command
      ->add_option("--like", a->like,
                   "Repeat the run that made this picture (.png); what else is said counts instead")
      ->group(images);
  command->add_option("--save-latent", a->save_latent, "Write the final latents: .npy, f32 (N,C,H,W)")
      ->group(more(images));
  command->add_flag("--no-metadata", a->no_metadata, "Do not say in .png files how they were made")
      ->group(more(images));
  command->add_flag("--resume", a->resume, "Continue a run into a .npz or a folder/, or begin it")
      ->group(run);
  command->add_flag("--dry-run", a->dry_run, "Print the trajectory and the estimated time, sample nothing")
      ->group(run);
  command
      ->add_option(
          "--rank", a->rank,
          "Which of the processes that share the images this is, 0 ... W-1. Default: as mpirun, srun or"
          " torchrun say, else the only one")
      ->group(more(run));
  command->add_option("--world-size", a->world_size, "How many processes share the images")->group(more(run));
  command->add_flag("-v,--verbose", a->verbose, "Print every step of the trajectory, and what LoRAs change")
      ->group(more(run));
  command->get_option("--output")
      ->description(
          "A .png file (a grid when there are several images), a folder/ for one .png per image, or a .npz"
          " (arr_0: uint8 NHWC, arr_1: classes). Default: output.png");
  add_choose_options(*command, *a);
  command
      ->add_option("--plan", a->plan,
                   "Take the trajectory from a plan of `tstitch plan -o`, with its options")
      ->group("Plan");
  const bool words = builtin_names(true) != builtin_names();
  command->footer(
      std::string("Examples:\n"
                  "  tstitch sample --class Sandal --ratio 0.4\n") +
      (words ? "  tstitch sample -p \"red heart\" -p \"blue apple\"\n" : "") +
      "  tstitch sample -m bk-sdm-tiny/ -m sd-v1-5.safetensors -p \"a red fox in the snow\" --steps 30\n");
  return [a, command] {
    check_choose_options(*command, !a->budget.empty(), *a);
    return sample_command(*a);
  };
}

}  // namespace tstitch
