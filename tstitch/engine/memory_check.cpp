#include "tstitch/engine/memory_check.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/zoo/latents.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

const fs::path kGroups = "/sys/fs/cgroup";

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

std::string gibibytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
  return text;
}

// Numbers in the tensors of a part of a file, which are named so.
int64_t elements_of(const ModelFiles& files, std::string_view part) {
  const TensorFile file = open_weights(files, WeightChoice::automatic);
  int64_t elements = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name.find(part) == name.npos) continue;
    int64_t count = 1;
    for (const int64_t extent : tensor.shape) count *= extent;
    elements += count;
  }
  return elements;
}

int64_t elements_of_text_encoder(std::span<const ModelInfo> models, const RunSpec& spec) {
  // With a clip skip the last layers are left out.
  if (spec.options.prompts.empty() || spec.options.clip_skip > 1) return 0;
  for (auto model = models.rbegin(); model != models.rend(); ++model) {
    const std::string& folder = model->files.text_encoder;
    if (!folder.empty())
      return fs::is_directory(folder) ? elements_of(find_model_files(folder), "encoder.layers.") : 0;
  }
  return 0;
}

}  // namespace

int64_t bytes_needed(std::span<const ModelInfo> models, const RunSpec& spec, const std::string& vae) {
  std::set<std::pair<std::string, WeightChoice>> seen;
  int64_t networks = 0;
  for (const ModelInfo& model : models)
    if (seen.emplace(model.files.path, model.weights).second) networks += model.architecture->parameters();
  const int64_t autoencoder = vae.empty() ? 0 : elements_of(find_decoder(vae), "decoder."),
                encoder = elements_of_text_encoder(models, spec);
  const int64_t weight_bytes = size_of(compute_dtype(spec.options.backend));

  const int64_t batch = std::min(spec.options.batch_size, spec.images()), pixels = spec.height * spec.width,
                latents = batch * spec.channels * pixels * (spec.guided() ? 2 : 1),
                side = models.back().pixels_per_latent,
                pictures = vae.empty() ? 0 : batch * 3 * pixels * side * side;
  return weight_bytes * (autoencoder + std::max(networks, encoder)) + 4 * (latents + pictures);
}

std::optional<int64_t> bytes_available(std::string_view meminfo) {
  const auto available = number_behind(meminfo, "MemAvailable:");
  if (!available) return std::nullopt;
  return 1024 * (*available + number_behind(meminfo, "SwapFree:").value_or(0));
}

std::optional<int64_t> bytes_left(std::string_view max, std::string_view current, std::string_view stat) {
  const auto limit = number_behind(max, ""), used = number_behind(current, "");
  if (!limit || !used) return std::nullopt;
  const int64_t caches =
      number_behind(stat, "active_file ").value_or(0) + number_behind(stat, "inactive_file ").value_or(0);
  return std::max<int64_t>(0, *limit - *used + caches);
}

std::optional<int64_t> bytes_free() {
  const std::string meminfo = text_of("/proc/meminfo");
  const int64_t swap_free = 1024 * number_behind(meminfo, "SwapFree:").value_or(0);
  std::optional<int64_t> free = bytes_available(meminfo);
  // "0::/user.slice/a.scope": of version 2, whose limits hold for all within.
  const std::string groups = text_of("/proc/self/cgroup");
  constexpr std::string_view kPrefix = "0::/";
  const size_t line = groups.starts_with(kPrefix) ? 0 : groups.find(concat('\n', kPrefix));
  if (line == groups.npos) return free;
  const size_t begin = groups.find(kPrefix, line) + kPrefix.size();
  fs::path group = kGroups / groups.substr(begin, groups.find('\n', begin) - begin);
  for (;; group = group.parent_path()) {
    const auto left = bytes_left(text_of(group / "memory.max"), text_of(group / "memory.current"),
                                 text_of(group / "memory.stat"));
    const int64_t swap =
        std::min(number_behind(text_of(group / "memory.swap.max"), "").value_or(swap_free), swap_free);
    if (left) free = std::min(free.value_or(*left + swap), *left + swap);
    if (group == kGroups || !group.has_relative_path()) return free;
  }
}

void check_memory(int64_t needed, int64_t free) {
  check(needed <= free, ErrorKind::device, "the run needs ", gibibytes(needed), " of memory, ",
        gibibytes(free), " are free: expected smaller models, --dtype bf16, a smaller --batch-size or size");
}

}  // namespace tstitch
