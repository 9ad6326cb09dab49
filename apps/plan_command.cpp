#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/choose.h"
#include "apps/command_words.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/io/atomic_file.h"

namespace tstitch {
namespace {

struct PlanArguments : Arguments, ChooseArguments {
  std::vector<std::string> forms;
};

int plan_command(const PlanArguments& a) {
  check_only_process("plan");
  const Goal goal = goal_of(a, a.said);
  const Said said = with_forms(a.said, a.forms);
  const Asked asked = read_asked(said);
  const auto& [infos, options] = asked;
  check(infos.size() >= 2, ErrorKind::usage,
        "nothing to plan for one model: expected another --model, or a --form of it");
  check_no_shares(options, "plan");
  const RunSpec all = spec_of_all(infos, options, goal.curve.has_value());
  check_effective(said, all, infos);
  CommandFiles files = inputs_of(asked);
  files.reads("--curve", a.curve);
  files.reads("--divergence", a.divergence);
  if (!a.output.empty()) {
    check(a.output.ends_with(".json"), ErrorKind::usage, "--output is \"", printable(a.output),
          "\", expected a name that ends in .json");
    files.writes("--output", a.output);
  }
  print_what_is_left_out(a, infos);
  Engine engine(infos, options.backend, options.vae);
  check_divergence(engine, all, goal, end_if_interrupted);
  if (!times_are_known(engine, all, goal) && !engine.load({&all, 1}, is_decodable(infos.back(), options.vae),
                                                          interrupted, bytes_of_choosing(infos, all, goal)))
    return report_interrupted();
  auto choice = choose_trajectory(engine, options, goal, interrupted);
  if (!choice) return report_interrupted();
  const RunSpec chosen = chosen_run(infos, options, *choice);
  choice->made_with = made_with(chosen, infos, end_if_interrupted);
  choice->command = command_of(said, asked, *choice, chosen);
  if (!a.output.empty()) write_file(a.output, to_json(*choice));
  if (a.json)
    std::printf("%s", to_json(*choice).c_str());
  else if (!a.quiet) {
    print(*choice);
    print_alternatives(*choice);
    if (!choice->command.empty()) std::printf("run it with `%s`\n", choice->command.c_str());
    if (!a.output.empty())
      std::printf("wrote %s: use it with `tstitch sample --plan %s%s`\n", a.output.c_str(),
                  in_shell(a.output).c_str(), words_beside_plan(said, asked, chosen).c_str());
  }
  return kDone;
}

}  // namespace

Command add_plan_command(CLI::App& program) {
  auto* command = program.add_subcommand(
      "plan",
      "Choose the trajectory for a time, a speed-up, a quality or a divergence, from times measured on this"
      " machine");
  auto a = std::make_shared<PlanArguments>();
  add_run_options(
      *command, *a,
      {"ratio", "fractions", "switch_step", "switch", "switch_threshold", "switch_rule", "num_fid_samples"});
  add_form_option(*command, a->forms);
  add_choose_options(*command, *a);
  command
      ->add_option("--max-divergence", a->max_divergence,
                   "The fastest trajectory that diverges no more than this from the last model: a sum of w d"
                   " (docs/analyses.md), or a share of that of the form that diverges most, 20%")
      ->group("Plan");
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
    check_choose_options(*command, true, *a);
    return plan_command(*a);
  };
}

}  // namespace tstitch
