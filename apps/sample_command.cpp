#include <cstdio>
#include <memory>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/output.h"
#include "apps/session.h"
#include "tstitch/base/error.h"
#include "tstitch/io/npy.h"
#include "tstitch/pipeline/report.h"

namespace tstitch {
namespace {

// Decides where pictures go; nowhere when only latents are wanted or the latents cannot be shown.
std::string picture_output(const Arguments& a, const ModelInfo& model) {
  if (a.output.empty() && (!a.save_latent.empty() || a.dry_run)) return "";
  check_decodable(a, model);
  return a.output.empty() ? "output.png" : a.output;
}

void print_steps(const Plan& plan, const std::vector<ModelInfo>& infos) {
  std::printf("%6s %9s %10s %10s  %s\n", "step", "timestep", "alpha", "sigma", "model");
  for (const Step& step : plan.trajectory)
    std::printf("%6d %9g %10.6f %10.6f  %s\n", step.index + 1, step.level.t, step.level.alpha,
                step.level.sigma, infos[static_cast<size_t>(step.denoiser)].name.c_str());
}

int sample_command(const Arguments& a) {
  const std::vector<ModelInfo> infos = read_models(a);
  const Plan plan = make_plan(infos, sample_options(a, infos));
  const std::string output = picture_output(a, infos.back());
  if (!output.empty()) check_output(output);
  if (plan.init_image) check_decodable(a, infos.back());
  if (!a.save_latent.empty()) check_output_file(a.save_latent);

  Session session(a, infos);
  if (!a.json && !a.quiet) {
    std::printf("%s, %s, %lld image%s, seed %llu\n", session.backend().description().c_str(),
                plan.sampler.c_str(), static_cast<long long>(plan.images()), plan.images() == 1 ? "" : "s",
                static_cast<unsigned long long>(plan.seed));
    std::printf("%s\n", describe(plan, infos).c_str());
    if (a.verbose) print_steps(plan, infos);
    std::fflush(stdout);
  }
  if (session.load({&plan, 1}, !output.empty() && !a.dry_run) == kInterrupted) return report_interrupted();

  if (a.dry_run) {
    const double seconds = session.estimate(plan);
    if (a.json)
      std::printf("%s\n",
                  json_estimate(plan, session.models(), session.backend().description(), seconds).c_str());
    else if (!a.quiet)
      std::printf("estimated time: %.2f s\n", seconds);
    return kDone;
  }

  RunResult result = session.run(plan, Show::bar_or_lines);
  if (result.cancelled) return report_interrupted();

  std::vector<std::string> outputs;
  if (!a.save_latent.empty()) {
    write_npy(a.save_latent, result.latents);
    outputs.push_back(a.save_latent);
  }
  if (!output.empty())
    for (const std::string& path : write_images(output, session.pictures(result), plan, infos,
                                                a.sample.random_classes ? 1 : a.sample.batch_count))
      outputs.push_back(path);

  if (a.json) {
    std::printf(
        "%s\n",
        json_report(plan, session.models(), result, session.backend().description(), outputs).c_str());
  } else if (!a.quiet) {
    session.print_times(result);
    for (const std::string& path : outputs) std::printf("wrote %s\n", path.c_str());
  }
  return kDone;
}

}  // namespace

Command add_sample_command(CLI::App& program) {
  auto* command = program.add_subcommand("sample", "Sample images along a stitched trajectory");
  auto arguments = std::make_shared<Arguments>();
  add_common_options(*command, *arguments);
  add_sample_options(*command, *arguments);
  return [arguments] { return sample_command(*arguments); };
}

}  // namespace tstitch
