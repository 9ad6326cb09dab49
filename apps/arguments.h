// The options of the commands that sample, shared.
#pragma once

#include <CLI/App.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/engine/command_files.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/tune/measure.h"

namespace tstitch {

struct Arguments {
  Said said;  // of the run
  std::string output;
  bool json = false, quiet = false;
};

// The fields of a run but for these, and what all commands that sample understand beside them.
void add_run_options(CLI::App& command, Arguments& arguments,
                     std::initializer_list<std::string_view> without);
// What is measured, of `eval` and `sweep`.
void add_measure_options(CLI::App& command, MeasureOptions& options);

// Throws Error{usage} where a launcher (mpirun, srun, torchrun) has started several processes of a command
// that is the work of one.
void check_only_process(const std::string& command);

// The models and what is asked of them.
struct Asked {
  std::vector<ModelInfo> models;
  SampleOptions options;
};

// before: what a picture or a plan says where the user is silent. Throws Error{usage} for values that
// contradict each other.
Asked read_asked(const Said& said, const Said& before = {});

// What was said, with cheaper forms of the last model before it, as the stages of all: each of `forms` as
// --twin has them, and otherwise as the last stage is asked. Throws Error{usage} naming --form.
Said with_forms(const Said& said, const std::vector<std::string>& forms);
// The option of it.
void add_form_option(CLI::App& command, std::vector<std::string>& forms);

// What the shared options read.
CommandFiles inputs_of(const Asked& asked);

}  // namespace tstitch
