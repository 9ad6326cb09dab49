#include "tstitch/io/torch_file.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/base/crc32.h"
#include "tstitch/io/pickle.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/torch_tensor.h"
#include "tstitch/io/zip.h"

namespace tstitch {
namespace {

constexpr size_t kMaxUnwrapped = 4;
constexpr size_t kMaxTensorNameBytes = 4096;
constexpr int kMaxVersion = 10;  // torch/csrc: caffe2/serialize/versions.h

// Keys under which training scripts keep weights, the first choice first.
struct WeightsKey {
  std::string_view key;
  bool average;
};
constexpr WeightsKey kWeightsKeys[] = {
    {"ema", true},
    {"model_ema", true},
    {"ema_model", true},
    {"ema_state_dict", true},
    {"state_dict_ema", true},
    {"params_ema", true},
    {"state_dict", false},
    {"model", false},
    {"model_state_dict", false},
    {"module", false},
    {"net", false},
    {"network", false},
    {"params", false},
    {"string_to_param", false},  // of a textual inversion
};
constexpr std::string_view kWrapperPrefixes[] = {"module.", "_orig_mod."};
constexpr std::string_view kAverageWithin = "model_ema.";

// Archives that PyTorch writes too but that hold programs, by an entry that each has: the end of its name
// behind the folder.
struct ForeignArchive {
  std::string_view entry;
  const char* code;
  const char* description;
};
constexpr ForeignArchive kForeignArchives[] = {
    {"constants.pkl", "PT_TORCHSCRIPT", "a TorchScript program"},
    {".data/extern_modules", "PT_PACKAGE", "a torch.package archive"},
    {"models/model.json", "PT_EXPORT", "a program of torch.export (.pt2)"},
    {"serialized_exported_program.json", "PT_EXPORT", "a program of torch.export (.pt2)"},
    {"MANIFEST.json", "PT_MAR", "a TorchServe archive (.mar)"},
};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The items of a dict, or of what a call gave when they are those of a dict (OrderedDict); else nothing.
std::optional<PickleObject> dict_of(const PickleObject& object) {
  if (object.is_dict()) return object;
  if (object.is_call() && object.contents().is_dict()) return object.contents();
  return std::nullopt;
}

template <class Visit>
void for_each_item(const PickleObject& dict, const Visit& visit) {
  const auto elements = dict.elements();
  for (auto it = elements.begin(); it != elements.end(); ++it) {
    const PickleObject key = *it;
    visit(key, *++it);
  }
}

class TorchFileReader {
 public:
  TorchFileReader(std::span<const std::byte> bytes, const std::string& where, WeightChoice which)
      : bytes_(bytes), where_(where), which_(which), zip_(read_zip(bytes, where)) {}

  std::pair<TensorFile::Tensors, TensorFile::Metadata> read() {
    find_folder();
    check_version();
    check_byte_order();
    const ZipEntry& program = *find_entry(zip_, folder_ + "data.pkl");
    const Pickle pickle(checked(program), where_);
    TorchTensors tensors(zip_, folder_, bytes_.size(), where_);
    collect(find_weights(pickle.root()), tensors);
    // Also what no weight needs: a file that is wrong somewhere is not to be trusted anywhere.
    for (size_t i = 0; i < pickle.objects(); ++i) tensors.check(pickle.object(i));
    return {std::move(tensors_), std::move(metadata_)};
  }

 private:
  // --- the archive ---

  void find_folder() {
    if (zip_.empty()) refuse(where_, "PT_LAYOUT", "an empty zip archive");
    for (const ForeignArchive& foreign : kForeignArchives)
      for (const ZipEntry& entry : zip_)
        if (entry.name.ends_with(foreign.entry) && is_path_end(entry.name, foreign.entry))
          refuse(where_, foreign.code, foreign.description,
                 ", expected tensors: save the model's state_dict() with torch.save");
    const std::string_view first = zip_.front().name;
    folder_ = first.substr(0, first.find('/') + 1);
    for (const ZipEntry& entry : zip_)
      if (folder_.empty() || !entry.name.starts_with(folder_))
        refuse(where_, "PT_LAYOUT", "the entry \"", printable(std::string(entry.name)),
               "\", expected all of them in one folder as torch.save writes them");
    if (!find_entry(zip_, folder_ + "data.pkl"))
      refuse(where_, "PT_LAYOUT", "no entry \"", printable(folder_), "data.pkl\": no PyTorch checkpoint");
  }

  static bool is_path_end(std::string_view name, std::string_view end) {
    return name.size() == end.size() || name[name.size() - end.size() - 1] == '/';
  }

  // The content of an entry that is read as a whole.
  std::span<const std::byte> checked(const ZipEntry& entry) const {
    if (crc32(entry.bytes) != entry.crc32)
      refuse(where_, "ZIP_CRC", "entry \"", printable(std::string(entry.name)),
             "\": its bytes do not have the CRC-32 that the archive states: a damaged file");
    return entry.bytes;
  }

  // The short text of an entry that older versions do not write.
  std::optional<std::string_view> note(const char* name) const {
    const ZipEntry* entry = find_entry(zip_, folder_ + name);
    if (!entry) return std::nullopt;
    constexpr size_t kMaxBytes = 32;
    return as_text(entry->bytes.size() > kMaxBytes ? entry->bytes : checked(*entry));
  }

  void check_version() const {
    const auto check = [&](const char* name, int low, int high) {
      const std::optional<std::string_view> text = note(name);
      if (!text) return;
      const std::string_view digits = text->substr(0, text->size() - text->ends_with('\n'));
      int value = -1;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (error != std::errc() || end != digits.data() + digits.size() || value < low || value > high)
        refuse(where_, "PT_VERSION", "\"", name, "\" is \"", printable(std::string(text->substr(0, 40)), 40),
               "\", expected ", low, " ... ", high);
    };
    check("version", 1, kMaxVersion);
    check(".format_version", 0, 99);
    check(".storage_alignment", 1, 1 << 30);
  }

  void check_byte_order() const {
    const std::optional<std::string_view> order = note("byteorder");
    if (order && *order != "little")
      refuse(where_, "PT_BYTEORDER", "the byte order is \"", printable(std::string(order->substr(0, 40)), 40),
             "\", expected \"little\"", *order == "big" ? ": big-endian checkpoints are not read" : "");
  }

  // --- the weights ---

  PickleObject find_weights(const PickleObject& root) {
    if (const auto found = unwrap(root, which_, 0)) return *found;
    const std::optional<PickleObject> dict = dict_of(root);
    if (!dict)
      refuse(where_, "PKL_NO_STATE_DICT", "the checkpoint is ", root.description(),
             ", expected a dict: save the model's state_dict() with torch.save");
    visited_.clear();
    if (which_ != WeightChoice::automatic && unwrap(root, WeightChoice::automatic, 0))
      refuse(where_, "PT_NO_WEIGHTS",
             which_ == WeightChoice::ema ? "no running average (EMA) of the weights"
                                         : "nothing but a running average (EMA) of the weights",
             " in the checkpoint; its keys: ", keys_text(*dict));
    refuse(where_, "PKL_NO_STATE_DICT", "no dict of tensors in the checkpoint; its keys: ", keys_text(*dict));
  }

  // The dict of tensors that `object` is or leads to. Leaves in path_ the keys that were followed.
  std::optional<PickleObject> unwrap(const PickleObject& object, WeightChoice which, size_t depth) {
    const std::optional<PickleObject> dict = dict_of(object);
    // What many keys lead to is looked at once: else the number of ways would multiply.
    if (!dict || !visited_.insert({dict->index(), which}).second) return std::nullopt;

    std::optional<PickleObject> wrapped[std::size(kWeightsKeys)];
    bool tensors = false, average_within = false;
    for_each_item(*dict, [&](const PickleObject& key, const PickleObject& value) {
      const std::optional<std::string_view> text = key.text();
      if (!text) return;
      if (const auto* found = std::ranges::find(kWeightsKeys, *text, &WeightsKey::key);
          found != std::end(kWeightsKeys))
        wrapped[found - kWeightsKeys] = value;  // the last one, as in Python
      if (!TorchTensors::is_tensor(value)) return;
      tensors = true;
      average_within |= text->starts_with(kAverageWithin);
    });

    for (size_t i = 0; i < std::size(kWeightsKeys) && depth < kMaxUnwrapped; ++i) {
      const auto& [key, average] = kWeightsKeys[i];
      if (!wrapped[i] || (average && which == WeightChoice::model)) continue;
      const auto found = unwrap(*wrapped[i], average ? WeightChoice::automatic : which, depth + 1);
      if (!found) continue;
      path_[depth] = key;
      return found;
    }
    if (!tensors || (which == WeightChoice::ema && !average_within)) return std::nullopt;
    path_.resize(depth);
    return dict;
  }

  static std::string keys_text(const PickleObject& dict) {
    constexpr int kShown = 6;
    constexpr size_t kLongest = 240;
    std::string text;
    int shown = 0;
    for_each_item(dict, [&](const PickleObject& key, const PickleObject&) {
      if (shown == kShown || text.size() > kLongest) return void(shown = kShown + 1);
      if (++shown > 1) text += ", ";
      text += key.text() ? concat("\"", printable(std::string(key.text()->substr(0, 40)), 40), "\"")
                         : key.description();
    });
    return shown > kShown ? text + ", ..." : text;
  }

  void collect(const PickleObject& dict, TorchTensors& tensors) {
    size_t ignored = 0;
    for_each_item(dict, [&](const PickleObject& key, const PickleObject& value) {
      if (!key.text() || !TorchTensors::is_tensor(value)) {
        ++ignored;
        return;
      }
      const std::string_view name = without_wrappers(*key.text());
      if (name.size() > kMaxTensorNameBytes)
        refuse(where_, "PT_NAME", "a tensor name of ", name.size(), " bytes, expected at most ",
               kMaxTensorNameBytes);
      if (!tensors_.emplace(name, tensors.tensor(value, name)).second)
        refuse(where_, "MODEL_DUPLICATE", "two tensors \"", printable(std::string(name)), "\"");
    });
    std::string path;
    for (const std::string_view key : path_) path.append(path.empty() ? "" : ".").append(key);
    if (!path.empty()) metadata_["weights"] = path;
    if (ignored) metadata_["ignored"] = std::to_string(ignored);
  }

  static std::string_view without_wrappers(std::string_view name) {
    for (bool found = true; found;) {
      found = false;
      for (const std::string_view prefix : kWrapperPrefixes)
        if (name.starts_with(prefix)) {
          name.remove_prefix(prefix.size());
          found = true;
        }
    }
    return name;
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  WeightChoice which_;
  std::vector<ZipEntry> zip_;
  std::string folder_;  // with its slash
  std::set<std::pair<size_t, WeightChoice>> visited_;
  std::vector<std::string_view> path_;
  TensorFile::Tensors tensors_;
  TensorFile::Metadata metadata_;
};

TensorFile parse(std::span<const std::byte> bytes, const std::string& where, WeightChoice which,
                 std::shared_ptr<const MappedFile> file) {
  auto [tensors, metadata] = TorchFileReader(bytes, where, which).read();
  return TensorFile(where, std::move(file), std::move(tensors), std::move(metadata));
}

}  // namespace

TensorFile read_torch_file(std::shared_ptr<const MappedFile> file, WeightChoice which) {
  return file->parsed(
      [&](std::span<const std::byte> bytes) { return parse(bytes, file->path(), which, file); });
}

TensorFile read_torch_file(const std::string& path, WeightChoice which) {
  return read_torch_file(std::make_shared<const MappedFile>(path), which);
}

TensorFile parse_torch_file(std::span<const std::byte> bytes, const std::string& name, WeightChoice which) {
  return parse(bytes, name, which, nullptr);
}

}  // namespace tstitch
