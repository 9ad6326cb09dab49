#include "apps/help.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr std::string_view kMore = ", more";

class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* command, std::string name, CLI::AppFormatMode mode) const override {
    all_ = mode == CLI::AppFormatMode::All;
    std::string text = CLI::Formatter::make_help(command, name, CLI::AppFormatMode::Normal);
    for (size_t at; (at = text.find("\n\n\n")) != text.npos;) text.erase(at, 1);  // of groups left out
    return text;
  }
  std::string make_group(std::string group, bool positional,
                         std::vector<const CLI::Option*> options) const override {
    if (!all_ && group.ends_with(kMore)) return "";
    return CLI::Formatter::make_group(group, positional, options);
  }
  std::string make_footer(const CLI::App* command) const override {
    const auto hidden = std::ranges::count_if(
        command->get_options(), [](const CLI::Option* one) { return one->get_group().ends_with(kMore); });
    const std::string rest =
        all_ || !hidden ? "" : concat("\n", hidden, " more options: ", full_name(*command), " --help-all\n");
    return rest + CLI::Formatter::make_footer(command);
  }

 private:
  mutable bool all_ = false;
};

}  // namespace

std::string more(std::string_view group) { return std::string(group).append(kMore); }

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent ? concat(full_name(*parent), " ", command.get_name()) : command.get_name();
}

void add_help_levels(CLI::App& command) {
  command.formatter(std::make_shared<HelpFormatter>());
  command.set_help_all_flag("--help-all", "Print all options");
  for (CLI::App* each : command.get_subcommands({})) add_help_levels(*each);
}

}  // namespace tstitch
