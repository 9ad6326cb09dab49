// The options of `sample`, `sweep` and `analyze`, shared.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/tune/measure.h"

namespace tstitch {

struct Arguments {
  std::vector<std::string> models;
  std::string small, large;
  std::string weights = "auto";
  std::string prediction;
  std::string vae;
  std::optional<double> ratio;
  std::string switch_rule, scheduler, spacing;
  std::string switching = "share";
  std::string classes, uncond;
  std::string seed = "0";
  std::optional<int64_t> image_size, fid_samples;
  std::string cfg_channels;
  std::string init_image, init_latent, noise, save_latent;
  std::optional<double> strength;
  std::string output;
  std::optional<int64_t> rank, world_size;
  bool resume = false;
  bool dry_run = false, json = false, quiet = false, verbose = false;
  SampleOptions sample;
  BackendOptions backend;
};

// What all commands that sample understand, then who serves which step, then what only `sample` does.
void add_common_options(CLI::App& command, Arguments& arguments);
void add_share_options(CLI::App& command, Arguments& arguments);
void add_sample_options(CLI::App& command, Arguments& arguments);

// What is measured, of `eval` and `sweep`.
void add_measure_options(CLI::App& command, MeasureOptions& options);

// Throws Error{usage} where a launcher (mpirun, srun, torchrun) has started several processes of a command
// that is the work of one.
void check_only_process(const std::string& command);

// The files of the models in order of use: --model, or --small and --large, or the demo family.
std::vector<std::string> model_paths(const Arguments& arguments);

std::vector<ModelInfo> read_models(const Arguments& arguments);  // of model_paths

// What the shared options read.
CommandFiles inputs_of(const Arguments& arguments, const std::vector<ModelInfo>& models);

// The options as the library takes them; reads --init-latent and --noise. Throws Error{usage} for values that
// contradict each other. models: the models in order of use; the last one says what classes are called.
SampleOptions sample_options(const Arguments& arguments, const std::vector<ModelInfo>& models);

}  // namespace tstitch
