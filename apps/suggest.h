// What to say of arguments that a command does not know.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace tstitch {

// One sentence for `argument`, which `command` did not expect: the option that was probably meant, or the
// command that has it.
std::string unexpected(const CLI::App& program, const CLI::App& command, const std::string& argument);

// Of the words the one that is written most alike; "" where none differs by only one or two slips.
std::string written_alike(const std::string& word, const std::vector<std::string>& words);

}  // namespace tstitch
