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
                                {"--num-steps", "--steps"},
                                {"--n-steps", "--steps"},
                                {"--ddim-eta", "--eta"},
                                {"--model-path", "--model"},
                                {"--threshold", "--switch-threshold"},
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

// The option of the command that begins so; "" where none does.
std::string begun_alike(const CLI::App& command, const std::string& option) {
  const std::vector<std::string> names = long_names(command);
  const auto name =
      std::ranges::find_if(names, [&](const std::string& one) { return one.starts_with(option); });
  return name == names.end() ? "" : *name;
}

// Below `parent`, "analyze spectrum" among them.
std::vector<std::string> commands_with(const CLI::App& parent, const std::string& option) {
  std::vector<std::string> names;
  for (const CLI::App* command : parent.get_subcommands({})) {
    if (has(*command, option)) names.push_back(command->get_name());
    for (const std::string& part : commands_with(*command, option))
      names.push_back(concat(command->get_name(), ' ', part));
  }
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
  std::string meant = begun_alike(command, option);
  if (const auto commands = commands_with(program, option); meant.empty() && !commands.empty())
    return concat(start, ": it is one of tstitch ", join(commands), help);
  if (meant.empty()) meant = written_alike(option, long_names(command));
  return concat(start, meant.empty() ? "" : concat(": did you mean ", meant, "?"), help);
}

std::string written_alike(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  size_t least = (word.size() > 8 ? 2 : 1) + 1;
  for (const std::string& one : words)
    if (const size_t slips = edit_distance(one, word); slips < least) best = one, least = slips;
  return best;
}

}  // namespace tstitch
