// What several commands show of a run.
#pragma once

#include <memory>
#include <string>

#include "apps/arguments.h"
#include "apps/progress_bar.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/engine.h"

namespace tstitch {

// Progress as far as --quiet and --json leave it; of many images --json leaves it too.
std::unique_ptr<ProgressBar> progress_of(const Arguments& arguments, const std::vector<ModelInfo>& models,
                                         Show show);

// Says on stderr of what LoRAs a model takes a part only or nothing, unless --quiet.
void print_what_is_left_out(const Arguments& arguments, const std::vector<ModelInfo>& models);

// Says on stderr which stages have nothing of their cheaper form, unless --quiet.
void print_what_saves_nothing(const Arguments& arguments, const RunSpec& spec,
                              const std::vector<ModelInfo>& models);

// Evaluations and seconds of each model, and of the whole.
void print_times(const Engine& engine, const RunResult& result);

// Throws the error again, with what was kept, "" for nothing.
[[noreturn]] void add_what_is_kept(const Error& error, const std::string& kept);

// Says what was kept, "" for nothing, and gives the exit code.
int report_interrupted(const std::string& kept = "");

}  // namespace tstitch
