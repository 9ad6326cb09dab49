#include "apps/suggest.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <vector>

#include "apps/help.h"
#include "tstitch/base/edit_distance.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch {
namespace {

// What other programs call ours.
struct Foreign {
  std::string_view theirs, ours;
};
constexpr Foreign kForeign[] = {{"--num-inference-steps", "--steps"},
                                {"--ddim-steps", "--steps"},
                                {"--sample-steps", "--steps"},
                                {"--guidance-scale", "--cfg-scale"},
                                {"--guidance", "--cfg-scale"},
                                {"--cfg", "--cfg-scale"},
                                {"--scale", "--cfg-scale"},
                                {"--neg-prompt", "--negative-prompt"},
                                {"--n-samples", "--batch-count"},
                                {"--n-iter", "--batch-count"},
                                {"--num-images-per-prompt", "--batch-count"},
                                {"--num-images", "--batch-count"},
                                {"--denoising-strength", "--strength"},
                                {"--init-img", "--init-image"},
                                {"--image", "--init-image"},
                                {"--ckpt", "--model"},
                                {"--checkpoint", "--model"},
                                {"--diffusion-model", "--model"},
                                {"--outdir", "--output"},
                                {"--out", "--output"},
                                {"--type", "--dtype"},
                                {"--precision", "--dtype"},
                                {"--switch-at", "--switch-step"},
                                {"--refiner-switch-at", "--ratio"}};

std::vector<std::string> long_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

bool has(const CLI::App& command, std::string_view option) {
  return std::ranges::count(long_names(command), option) > 0;
}

// The option of the command that is written most alike; "" where none is.
std::string written_alike(const CLI::App& command, const std::string& option) {
  constexpr size_t kMostSlips = 2;
  std::string best;
  size_t least = kMostSlips + 1;
  for (const std::string& name : long_names(command)) {
    const size_t slips = name.starts_with(option) ? 1 : edit_distance(name, option);
    if (slips < least) best = name, least = slips;
  }
  return best;
}

std::vector<std::string> commands_with(const CLI::App& program, const std::string& option) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({}))
    if (has(*command, option)) names.push_back(command->get_name());
  return names;
}

}  // namespace

std::string unexpected(const CLI::App& program, const CLI::App& command, const std::string& argument) {
  const std::string name = full_name(command), help = concat(" (see ", name, " --help)");
  if (!argument.starts_with("-"))
    return concat("\"", printable(argument), "\" belongs to no option of ", name, help);
  std::string option = argument.substr(0, argument.find('='));
  std::ranges::replace(option, '_', '-');
  const std::string start = concat(name, " has no option ", printable(argument.substr(0, option.size())));
  const auto foreign = std::ranges::find(kForeign, option, &Foreign::theirs);
  if (foreign != std::end(kForeign) && has(command, foreign->ours))
    return concat(start, ": it is ", foreign->ours, " here", help);
  if (const auto commands = commands_with(program, option); !commands.empty())
    return concat(start, ": it is one of tstitch ", join(commands), help);
  if (const std::string alike = written_alike(command, option); !alike.empty())
    return concat(start, ": did you mean ", alike, "?", help);
  return start + help;
}

}  // namespace tstitch
