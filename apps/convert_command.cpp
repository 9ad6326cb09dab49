#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string_view>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/convert_checkpoint.h"
#include "tstitch/io/convert_to_gguf.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/convert_int8.h"

namespace tstitch {
namespace {

struct ConvertArguments {
  std::string input, output;
  std::optional<std::string> dtype;
  std::string weights = "auto";
  bool quiet = false;
};

// What --dtype may be, by the ending of the output.
constexpr const char* kKeep = "keep";
constexpr std::string_view kSafetensors = ".safetensors", kGguf = ".gguf";
constexpr std::array<std::string_view, 5> kSafetensorsTypes = {"f32", "bf16", "f16", "int8", kKeep};
constexpr std::array<std::string_view, 5> kGgufTypes = {"f32", "bf16", "f16", "q8_0", "q4_0"};

// Writes the output; whether it did.
bool convert(const TensorFile& file, const ConvertArguments& a, const std::string& input) {
  const auto proceed = [] { return !interrupted(); };
  if (a.dtype == "int8")
    return convert_to_int8(read_model_info(input, parse_weight_choice(a.weights)), file, a.output, proceed);
  if (a.output.ends_with(kSafetensors))
    return convert_checkpoint(file, a.output, parse_dtype(a.dtype.value_or(kKeep)), proceed);
  std::string type = *a.dtype;
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::toupper(c); });
  return convert_to_gguf(file, a.output, type, proceed);
}

void check_target(const ConvertArguments& a) {
  const bool gguf = a.output.ends_with(kGguf);
  check(gguf || a.output.ends_with(kSafetensors), ErrorKind::usage, "the output is \"", printable(a.output),
        "\", expected a name that ends in .safetensors or .gguf");
  const std::span<const std::string_view> types =
      gguf ? std::span<const std::string_view>(kGgufTypes) : kSafetensorsTypes;
  const std::string expected =
      concat("expected ", join(types), " for a file that ends in ", gguf ? kGguf : kSafetensors);
  check(a.dtype || !gguf, ErrorKind::usage, "--dtype is missing, ", expected);
  check(std::ranges::count(types, a.dtype.value_or(kKeep)) > 0, ErrorKind::usage, "--dtype is \"",
        printable(a.dtype.value_or("")), "\", ", expected);
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
  check_target(a);
  check(!is_folder(input), ErrorKind::usage, "the input is \"", printable(input),
        "\", a folder: name the file of weights in it");
  check(!input.ends_with(".index.json"), ErrorKind::usage, "the input is \"", printable(input),
        "\", an index of several files: convert them one by one");
  const TensorFile file = open_checkpoint(input, parse_weight_choice(a.weights));
  CommandFiles files;
  files.reads("input", input);
  files.writes("output", a.output);
  if (!convert(file, a, input)) return report_interrupted();
  if (a.quiet) return kDone;
  const TensorFile written = open_checkpoint(a.output);
  std::printf("wrote %s: %zu tensors, %s (was %s)\n", a.output.c_str(), written.tensors().size(),
              describe(written).c_str(), describe(file).c_str());
  return kDone;
}

}  // namespace

Command add_convert_command(CLI::App& program) {
  auto* command = program.add_subcommand("convert", "Write a checkpoint as safetensors or GGUF");
  auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("input", arguments->input, "A model file or demo model")->required();
  command->add_option("output", arguments->output, "A .safetensors or .gguf file")->required();
  command->add_option(
      "--dtype", arguments->dtype,
      "What floating-point tensors become: f32, bf16, f16; of .safetensors also keep (the default), or int8:"
      " the weights of a model's body, for --dtype int8, and all others as they are; of .gguf q8_0 or q4_0,"
      " the large ones");
  command
      ->add_option("--weights", arguments->weights,
                   "Which weights of a training checkpoint: ema, model (those that were"
                   " trained), or auto: the average where there is one")
      ->capture_default_str();
  command->add_flag("-q,--quiet", arguments->quiet, "Print nothing but errors");
  return [arguments] { return convert_command(*arguments); };
}

}  // namespace tstitch
