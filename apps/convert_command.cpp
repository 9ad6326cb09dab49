#include <cstdio>
#include <memory>
#include <set>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_checkpoint.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/convert_int8.h"

namespace tstitch {
namespace {

struct ConvertArguments {
  std::string input, output;
  std::string dtype = "keep";
  std::string weights = "auto";
  bool quiet = false;
};

std::optional<DType> parse_target(const std::string& name) {
  if (name == "keep") return std::nullopt;
  const auto dtype = parse_dtype(name);
  check(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16, ErrorKind::usage, "--dtype is \"",
        printable(name), "\", expected f32, bf16, f16, int8 or keep");
  return dtype;
}

// "BF16, F32", megabytes
std::string describe(const TensorFile& file) {
  std::set<std::string> types;
  double bytes = 0;
  for (const auto& [name, info] : file.tensors()) {
    types.insert(info.dtype_name);
    bytes += static_cast<double>(info.bytes.size());
  }
  char size[32];
  std::snprintf(size, sizeof size, ", %.1f MB", bytes / 1e6);
  return join(types) + size;
}

int convert_command(const ConvertArguments& a) {
  const std::string input = resolve_model(a.input);
  const bool to_int8 = a.dtype == "int8";
  const std::optional<DType> dtype = to_int8 ? std::nullopt : parse_target(a.dtype);
  check(a.output.ends_with(".safetensors"), ErrorKind::usage, "the output is \"", printable(a.output),
        "\", expected a name that ends in .safetensors");
  check(!is_folder(input), ErrorKind::usage, "the input is \"", printable(input),
        "\", a folder: name the file of weights in it");
  check(!input.ends_with(".index.json"), ErrorKind::usage, "the input is \"", printable(input),
        "\", an index of several files: convert them one by one");
  const TensorFile file = open_checkpoint(input, parse_weight_choice(a.weights));
  CommandFiles files;
  files.reads("input", input);
  files.writes("output", a.output);
  const auto proceed = [] { return !interrupted(); };
  const bool whole = to_int8 ? convert_to_int8(read_model_info(input, parse_weight_choice(a.weights)), file,
                                               a.output, proceed)
                             : convert_checkpoint(file, a.output, dtype, proceed);
  if (!whole) return report_interrupted();
  if (!a.quiet)
    std::printf("wrote %s: %zu tensors, %s (was %s)\n", a.output.c_str(), file.tensors().size(),
                describe(read_safetensors(a.output)).c_str(), describe(file).c_str());
  return kDone;
}

}  // namespace

Command add_convert_command(CLI::App& program) {
  auto* command = program.add_subcommand("convert", "Write a checkpoint as safetensors");
  auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("input", arguments->input, "A model file or demo model")->required();
  command->add_option("output", arguments->output, "A .safetensors file")->required();
  command
      ->add_option(
          "--dtype", arguments->dtype,
          "What floating-point tensors become: f32, bf16, f16, or keep; int8: the weights of a model's"
          " body, for --dtype int8, and all others as they are")
      ->capture_default_str();
  command
      ->add_option("--weights", arguments->weights,
                   "Which weights of a training checkpoint: ema, model (those that were"
                   " trained), or auto: the average where there is one")
      ->capture_default_str();
  command->add_flag("-q,--quiet", arguments->quiet, "Print nothing but errors");
  return [arguments] { return convert_command(*arguments); };
}

}  // namespace tstitch
