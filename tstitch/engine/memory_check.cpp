#include "tstitch/engine/memory_check.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/controls.h"
#include "tstitch/models/autoencoder_keys.h"
#include "tstitch/models/autoencoder_kl.h"
#include "tstitch/models/clip_text.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/latents.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

// The number behind a word at the beginning of a line.
std::optional<int64_t> number_behind(std::string_view text, std::string_view word) {
  for (size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1) {
    std::string_view line = text.substr(at);
    if (!line.starts_with(word)) continue;
    line.remove_prefix(std::min(line.find_first_not_of(' ', word.size()), line.size()));
    int64_t number = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), number).ec == std::errc()) return number;
  }
  return std::nullopt;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Numbers in the tensors of a part of a file, which are named so.
int64_t elements_of(const TensorFile& file, std::string_view part) {
  int64_t elements = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name.find(part) == name.npos) continue;
    int64_t count = 1;
    for (const int64_t extent : tensor.shape) count *= extent;
    elements += count;
  }
  return elements;
}

// Of the largest: one is gone before the next comes.
int64_t elements_of_text_encoders(std::span<const ModelInfo> models, const std::vector<bool>& to_load,
                                  const RunSpec& spec) {
  // With a clip skip the last layers are left out.
  if (spec.options.prompts.empty() || spec.options.clip_skip > 1) return 0;
  int64_t most = 0;
  for (size_t i = 0; i < models.size(); ++i) {
    if (!to_load[i]) continue;
    const std::vector<ClipPlace> places = models[i].condition.encoders();
    const std::vector<std::string>& paths = models[i].files.text_encoders;
    for (size_t n = 0; n < std::min(places.size(), paths.size()); ++n) {
      const TensorFile file = open_weights(find_model_files(paths[n]), WeightChoice::automatic);
      naming_file(file.path(), [&] {
        const FileWeights stored(file);
        most = std::max(most, clip_text_layer_parameters(ClipTextKeys(stored, places[n])));
      });
    }
  }
  return most;
}

struct Decoder {
  int64_t elements = 0, activation_bytes = 0;
};

Decoder decoder_of(const std::string& vae, const RunSpec& spec, DType compute) {
  if (vae.empty()) return {};
  const TensorFile file = open_weights(find_decoder(vae), WeightChoice::automatic);
  Decoder decoder{.elements = elements_of(file, "decoder.")};
  const FileWeights weights(file);
  if (AutoencoderKeys::recognises(weights))  // the tiny ones take little
    decoder.activation_bytes = naming_file(file.path(), [&] {
      return autoencoder_kl_decode_bytes(infer_autoencoder_kl_config(AutoencoderKeys(weights)), spec.height,
                                         spec.width, compute);
    });
  return decoder;
}

// A line of /proc/self/cgroup is "ID:CONTROLLERS:/PATH"; version 2 has no controllers.
struct Group {
  bool second_version;
  fs::path path;  // below its root
};

std::vector<Group> memory_groups(const std::string& text) {
  std::vector<Group> groups;
  std::istringstream lines(text);
  for (std::string id, controllers, path;
       std::getline(lines, id, ':') && std::getline(lines, controllers, ':') && std::getline(lines, path);) {
    const bool first_version = concat(',', controllers, ',').find(",memory,") != std::string::npos;
    if (first_version || controllers.empty())
      groups.push_back({!first_version, fs::path(path).relative_path()});
  }
  return groups;
}

std::optional<int64_t> bytes_left_in(const fs::path& group, const char* limit, const char* used) {
  return bytes_left(text_of(group / limit), text_of(group / used), text_of(group / "memory.stat"));
}

// What one group still grants, with swapping.
std::optional<int64_t> granted(const fs::path& group, bool second_version, int64_t swap_free) {
  const auto left = second_version ? bytes_left_in(group, "memory.max", "memory.current")
                                   : bytes_left_in(group, "memory.limit_in_bytes", "memory.usage_in_bytes");
  if (!left) return std::nullopt;
  if (second_version)
    return *left +
           std::min(number_behind(text_of(group / "memory.swap.max"), "").value_or(swap_free), swap_free);
  const auto with_swap = bytes_left_in(group, "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes");
  return std::min(*left + swap_free, with_swap.value_or(*left + swap_free));
}

// body: those of them that may be of 8 bits.
int64_t weight_bytes(int64_t parameters, int64_t body, const BackendOptions& device) {
  const int64_t small = wants_int8(device) ? body : 0;
  return small + size_of(compute_dtype(device)) * (parameters - small);
}

}  // namespace

int64_t network_bytes(const ModelInfo& model, BackendOptions device) {
  if (!model.dtype.empty()) device.dtype = model.dtype;
  return weight_bytes(model.architecture->parameters(), model.architecture->body_parameters(), device);
}

int64_t control_net_bytes(const ControlNetInfo& net, const BackendOptions& device) {
  return weight_bytes(control_net_parameters(net.config), unet_encoder_body_parameters(net.config.unet),
                      device);
}

MemoryNeed memory_needed(std::span<const ModelInfo> models, const std::vector<bool>& to_load,
                         const RunSpec& spec, const std::string& vae) {
  const DType compute = compute_dtype(spec.options.backend);
  const int64_t batch = std::min(spec.options.batch_size, spec.images()), pixels = spec.height * spec.width,
                rows = batch * (spec.needs_null(models) ? 2 : 1), side = models.back().pixels_per_latent;
  int64_t networks = 0, activations = 0;
  std::map<const ControlNetInfo*, int64_t> nets;  // bytes, each once
  for (size_t i = 0; i < models.size(); ++i) {
    if (!to_load[i]) continue;
    const ModelInfo& model = models[i];
    const auto is_same = [&](size_t j) { return to_load[j] && same_network(models[j], model); };
    size_t first = 0;
    while (!is_same(first)) ++first;
    BackendOptions device = spec.options.backend;
    if (!model.dtype.empty()) device.dtype = model.dtype;
    if (first == i) networks += network_bytes(model, device);
    int64_t of_row =
        model.architecture->activation_bytes(spec.height, spec.width, compute_dtype(device)) +
        model.architecture->kept_bytes(model.form, spec.height, spec.width, compute_dtype(device));
    for (const ModelControl& control : model.controls) {
      const ControlNetConfig& config = control.net->config;
      nets[control.net.get()] = control_net_bytes(*control.net, spec.options.backend);
      of_row += control_net_feature_bytes(config, spec.height, spec.width, compute);
    }
    activations = std::max(activations, rows * of_row);
  }
  for (const auto& [net, bytes] : nets) networks += bytes;
  int64_t hints = 0, reading = 0;
  for (const NeededControl& control : needed_controls(models, to_load)) {
    const HintBytes bytes = control_net_hint_bytes(control.net->config, spec.height, spec.width, compute);
    hints += std::ssize(control.numbers) * bytes.kept;
    reading = std::max(reading, bytes.work);
  }
  const Decoder decoder = decoder_of(vae, spec, compute);
  const int64_t latents = rows * spec.channels * pixels,
                pictures = vae.empty() ? 0 : batch * 3 * pixels * side * side;
  const int64_t size = size_of(compute);
  return {.networks = networks,
          .text_encoder = size * elements_of_text_encoders(models, to_load, spec),
          .autoencoder = size * decoder.elements,
          .work = size_of(DType::f32) * (latents + pictures) + hints +
                  std::max({activations, decoder.activation_bytes, reading})};
}

std::optional<int64_t> bytes_available(std::string_view meminfo) {
  const auto available = number_behind(meminfo, "MemAvailable:");
  if (!available) return std::nullopt;
  return 1024 * (*available + number_behind(meminfo, "SwapFree:").value_or(0));
}

std::optional<int64_t> bytes_left(std::string_view max, std::string_view current, std::string_view stat) {
  const auto limit = number_behind(max, ""), used = number_behind(current, "");
  if (!limit || !used) return std::nullopt;
  int64_t caches = 0;
  for (const std::string name : {"active_file ", "inactive_file "})  // "total_": with the groups within
    caches += number_behind(stat, "total_" + name).value_or(number_behind(stat, name).value_or(0));
  return std::max<int64_t>(0, *limit - *used + caches);
}

std::optional<int64_t> bytes_free(const std::string& root) {
  const fs::path files = root;
  const std::string meminfo = text_of(files / "proc/meminfo");
  const int64_t swap_free = 1024 * number_behind(meminfo, "SwapFree:").value_or(0);
  std::optional<int64_t> free = bytes_available(meminfo);
  for (const auto& [second_version, path] : memory_groups(text_of(files / "proc/self/cgroup"))) {
    const fs::path top = files / (second_version ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    // Limits hold for all within; a container sees its own group as the top.
    for (fs::path group = path;; group = group.parent_path()) {
      if (const auto left = granted(top / group, second_version, swap_free))
        free = std::min(free.value_or(*left), *left);
      if (group.empty()) break;
    }
  }
  return free;
}

std::pair<std::string, std::string> amounts_apart(int64_t bytes, int64_t other) {
  const bool large = std::min(bytes, other) >= 1 << 30;
  const auto in_words = [&](int64_t amount, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f %s", digits,
                  static_cast<double>(amount) / (large ? 1 << 30 : 1 << 20), large ? "GiB" : "MiB");
    return std::string(text);
  };
  constexpr int kMostDigits = 10;  // 2^-30 has its first behind nine zeros
  for (int digits = 1;; ++digits) {
    std::pair words{in_words(bytes, digits), in_words(other, digits)};
    if (words.first != words.second || digits == kMostDigits) return words;
  }
}

void check_memory(const SampleOptions& options, int64_t needed, int64_t free) {
  if (needed <= free) return;
  const auto [need, left] = amounts_apart(needed, free);
  std::vector<std::string> ways = {"smaller models or pictures"};
  const std::string dtype = decided_dtype(options.backend);
  if (dtype != "int8" && !options.backend.device.starts_with("cuda"))
    ways.emplace_back(dtype == "f32" ? "--dtype bf16 or int8" : "--dtype int8");
  if (options.batch_size > 1) ways.emplace_back("a smaller --batch-size");
  fail(ErrorKind::device, "the run needs ", need, " of memory, ", left, " are free: expected ", join(ways),
       "; --no-memory-check tries it all the same");
}

}  // namespace tstitch
