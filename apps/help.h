// Help in two levels: what most people need, and with --help-all everything.
#pragma once

#include <CLI/App.hpp>
#include <string>

namespace tstitch {

// The group of options that only --help-all shows, behind the group they belong to.
std::string more(std::string_view group);

// "tstitch analyze spectrum".
std::string full_name(const CLI::App& command);

// Gives a command, and its own commands, both levels.
void add_help_levels(CLI::App& command);

}  // namespace tstitch
