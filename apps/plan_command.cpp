#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "apps/choose.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/zoo/assets.h"

namespace tstitch {
namespace {

struct PlanArguments : Arguments, ChooseArguments {};

// As a shell reads it as one word.
std::string in_shell(const std::string& word) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// " -m small/ -m large/": the models, and what was said of them, beside what the plan says itself.
std::string words_of_models(const Said& said, const SampleOptions& options) {
  std::string words;
  if (options.models != builtin_names())
    for (const std::string& model : options.models) words += " -m " + in_shell(model);
  for (const Field& field : fields()) {
    const auto found = said.find(field.name);
    const bool is_model = field.name == "model" || field.name == "small" || field.name == "large";
    if (found == said.end() || field.group != kModels || is_model || is_planned(field)) continue;
    const std::string_view flag = field.flags.substr(0, field.flags.find(','));
    for (const std::string& text : found->second) words += concat(' ', flag, ' ', in_shell(text));
  }
  return words;
}

int plan_command(const PlanArguments& a) {
  check_only_process("plan");
  const Goal goal = goal_of(a, a.said);
  const Asked asked = read_asked(a.said);
  const auto& [infos, options] = asked;
  check(infos.size() >= 2, ErrorKind::usage, "nothing to plan for one model");
  const RunSpec all = spec_of_all(infos, options);
  check_effective(a.said, all, infos);
  CommandFiles files = inputs_of(asked);
  files.reads("--curve", a.curve);
  if (!a.output.empty()) {
    check(a.output.ends_with(".json"), ErrorKind::usage, "--output is \"", printable(a.output),
          "\", expected a name that ends in .json");
    files.writes("--output", a.output);
  }
  print_what_is_left_out(a, infos);
  Engine engine(infos, options.backend, options.vae);
  if (!engine.load({&all, 1}, is_decodable(infos.back(), options.vae), interrupted))
    return report_interrupted();
  const auto choice = choose_trajectory(engine, options, goal, interrupted);
  if (!choice) return report_interrupted();
  if (!a.output.empty()) write_file(a.output, to_json(*choice));
  if (a.json)
    std::printf("%s", to_json(*choice).c_str());
  else if (!a.quiet) {
    print(*choice);
    if (!a.output.empty())
      std::printf("wrote %s: use it with `tstitch sample --plan %s%s`\n", a.output.c_str(),
                  in_shell(a.output).c_str(), words_of_models(a.said, options).c_str());
  }
  return kDone;
}

}  // namespace

Command add_plan_command(CLI::App& program) {
  auto* command = program.add_subcommand(
      "plan",
      "Choose the trajectory for a time, a speed-up or a quality, from times measured on this machine");
  auto a = std::make_shared<PlanArguments>();
  add_run_options(
      *command, *a,
      {"ratio", "fractions", "switch_step", "switch", "switch_threshold", "switch_rule", "num_fid_samples"});
  add_choose_options(*command, *a);
  command
      ->add_option("--speedup", a->speedup,
                   "The best trajectory so many times as fast as the last model alone")
      ->group("Plan");
  command
      ->add_option("--max-metric-loss", a->max_metric_loss,
                   "The fastest trajectory whose metric is no more than this worse than the last model's: 2%")
      ->group("Plan");
  command->get_option("--output")->description("Write the plan, .json, for sample --plan");
  return [a, command] {
    check_choose_options(*command, true, !a->curve.empty());
    return plan_command(*a);
  };
}

}  // namespace tstitch
