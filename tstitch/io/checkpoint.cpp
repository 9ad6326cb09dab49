#include "tstitch/io/checkpoint.h"

#include <algorithm>
#include <memory>
#include <string_view>

#include "tstitch/io/gguf.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/safetensors.h"

namespace tstitch {
namespace {

using namespace std::string_view_literals;

// PyTorch before 1.6 and `_use_new_zipfile_serialization=False`: pickles one after the other, first of all
// this number (torch/serialization.py, MAGIC_NUMBER), behind a protocol and perhaps a frame.
constexpr std::string_view kLegacyNumber = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
constexpr size_t kLegacyNumberEnd = 32;

// PyTorch before 0.1.10: a tar archive with these entries.
constexpr std::string_view kTarEntries[] = {"sys_info\0"sv, "pickle\0"sv, "storages\0"sv, "tensors\0"sv};

bool is_zip(std::string_view start) {
  // The length of a safetensors header may begin like this, but then the header follows.
  const bool safetensors = start.size() > 8 && start[8] == '{';
  return (start.starts_with("PK\3\4"sv) && !safetensors) || start.starts_with("PK\5\6"sv);
}

bool is_legacy(std::string_view start) {
  return start.starts_with('\x80') && start.substr(0, kLegacyNumberEnd).find(kLegacyNumber) != start.npos;
}

bool is_legacy_tar(std::string_view start) {
  return start.size() > 262 && start.substr(257).starts_with("ustar") &&
         std::ranges::any_of(kTarEntries, [&](std::string_view entry) { return start.starts_with(entry); });
}

using ReadSafetensors = TensorFile (*)(std::shared_ptr<const MappedFile>);

TensorFile open(const std::string& path, WeightChoice which, ReadSafetensors read_other) {
  const auto file = std::make_shared<const MappedFile>(path);
  const std::string_view start(reinterpret_cast<const char*>(file->bytes().data()),
                               std::min<size_t>(file->bytes().size(), 512));
  constexpr const char* kSaveAgain = "load and save it with PyTorch 1.6 or later";
  if (is_legacy(start)) refuse(path, "PT_LEGACY", "the format of PyTorch before 1.6: ", kSaveAgain);
  if (is_legacy_tar(start))
    refuse(path, "PT_LEGACY_TAR", "the format of PyTorch before 0.1.10: ", kSaveAgain);
  if (is_zip(start)) return read_torch_file(file, which);

  TensorFile tensors = is_gguf(start) ? read_gguf(file) : read_other(file);
  if (which == WeightChoice::ema && std::ranges::none_of(tensors.tensors(), [](const auto& entry) {
        return entry.first.starts_with("model_ema.");
      }))
    refuse(path, "PT_NO_WEIGHTS", "a file with one set of weights, not known to be an average");
  return tensors;
}

}  // namespace

WeightChoice parse_weight_choice(const std::string& name) {
  if (name == "auto") return WeightChoice::automatic;
  if (name == "ema") return WeightChoice::ema;
  if (name == "model") return WeightChoice::model;
  fail(ErrorKind::usage, "--weights is \"", printable(name), "\", expected auto, ema or model");
}

TensorFile open_checkpoint(const std::string& path, WeightChoice which) {
  return open(path, which, read_safetensors);
}

TensorFile open_shard(const std::string& path) {
  return open(path, WeightChoice::automatic, read_safetensors_shard);
}

}  // namespace tstitch
