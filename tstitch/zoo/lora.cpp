#include "tstitch/zoo/lora.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/convert.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/lora_forms.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {
namespace {

using Owner = std::optional<ClipPlace>;

constexpr std::array kTargets = {std::pair{LoraTarget::weight, ".weight"},
                                 std::pair{LoraTarget::bias, ".bias"}};

// In front of a module's name, underscored: whose it is.
struct Prefix {
  std::string_view text;
  Owner place;
};
constexpr Prefix kPrefixes[] = {{"lora_unet_", {}},
                                {"lycoris_", {}},
                                {"unet_base_model_model_", {}},
                                {"base_model_model_", {}},
                                {"unet_", {}},
                                {"model_diffusion_model_", {}},
                                {"diffusion_model_", {}},
                                {"", {}},
                                {"lora_te_", ClipPlace::first},
                                {"lora_te1_", ClipPlace::first},
                                {"text_encoder_base_model_model_", ClipPlace::first},
                                {"text_encoder_", ClipPlace::first},
                                {"lora_te2_", ClipPlace::second},
                                {"text_encoder_2_base_model_model_", ClipPlace::second},
                                {"text_encoder_2_", ClipPlace::second}};

struct Found {
  Owner place;
  std::string module;  // "": the network has it not
};

std::optional<Found> find_module(const std::string& name, const SpelledNames& network) {
  const std::string spelled = underscored(name);
  for (const auto& [prefix, place] : kPrefixes) {
    if (!spelled.starts_with(prefix)) continue;
    const SpelledNames& names = place ? clip_text_lora_names() : network;
    if (const auto found = names.find(spelled.substr(prefix.size())); found != names.end())
      return Found{place, found->second};
  }
  return std::nullopt;
}

// The weights of a model's text encoder.
struct TextSource {
  TextSource(const std::string& path, ClipPlace place)
      : file(open_weights(find_model_files(path), WeightChoice::automatic)),
        stored(file),
        keys(stored, place) {}
  TensorFile file;
  FileWeights stored;
  ClipTextKeys keys;
};

// Products in f32, whatever the model computes in and on.
std::unique_ptr<Backend> merging_backend(int threads) {
  return make_backend({.device = "cpu", .dtype = "f32", .threads = threads});
}

}  // namespace

class LoraFitter::Tensors {
 public:
  explicit Tensors(const ModelInfo& model)
      : file_(open_weights(model.files, model.weights)), network_(model.architecture->weights(file_)) {
    if (model.files.text_encoders.size() != model.condition.encoders().size()) return;
    for (size_t i = 0; i < model.files.text_encoders.size(); ++i) {
      const ClipPlace place = model.condition.encoders()[i];
      texts_[place] = std::make_unique<TextSource>(model.files.text_encoders[i], place);
    }
  }
  // The shape of a tensor, where it is there.
  std::optional<Shape> shape(Owner place, const std::string& name) const {
    if (!place) return network_->shape(name);
    const auto text = texts_.find(*place);
    return text == texts_.end() ? std::nullopt : text->second->keys.shape(name);
  }
  // Takes the module among the model's, or says why it is none of them.
  std::string take(const LoraModule& module, const Found& found, Lora& lora) const;

 private:
  TensorFile file_;
  std::unique_ptr<WeightSource> network_;
  std::map<ClipPlace, std::unique_ptr<TextSource>> texts_;
};

std::string LoraFitter::Tensors::take(const LoraModule& module, const Found& found, Lora& lora) const {
  LoraPart& part = lora.parts[found.place];
  if (found.module.empty() || !shape(found.place, found.module + ".weight")) {
    ++part.without_home;
    return "";
  }
  const auto [there, is_new] = part.modules.emplace(found.module, &module);
  if (!is_new)
    refuse(lora.file->path(), "LORA_KEY", "\"", printable(there->second->name), "\" and \"",
           printable(module.name), "\" are the same module, ", found.module);
  if (std::ranges::none_of(kTargets, [&](const auto& one) { return changes(module, one.first); }))
    return concat("for \"", found.module, "\": tensors that change nothing by themselves");
  for (const auto& [target, kind] : kTargets) {
    if (!changes(module, target)) continue;
    const std::string name = found.module + kind;
    const auto extents = shape(found.place, name);
    const std::string obstacle =
        extents ? lora_obstacle(*lora.file, module, target, *extents) : "it is not there";
    if (!obstacle.empty()) return concat("for \"", name, "\": ", obstacle);
  }
  return "";
}

LoraFitter::LoraFitter(const ModelInfo& model) : model_(model), names_(model.architecture->lora_names()) {
  if (!names_.empty()) tensors_ = std::make_unique<Tensors>(model);
}

LoraFitter::~LoraFitter() = default;

LoraFit LoraFitter::fit(const std::string& path, double weight, std::shared_ptr<const LoraFile> file) const {
  LoraFit fit{.lora = {.path = path, .weight = weight, .file = std::move(file)}, .obstacle = ""};
  const LoraFile& lora = *fit.lora.file;
  if (names_.empty()) {
    fit.obstacle = concat("it is a ", model_.architecture->name(), ", for which there are none");
    return fit;
  }
  const auto all_in = [&](const SpelledNames& network) {
    return std::ranges::all_of(lora.modules(), [&](const LoraModule& module) {
      return find_module(module.name, network).has_value();
    });
  };
  const SpelledNames& network = all_in(names_.own) ? names_.own : names_.unpruned;
  for (const LoraModule& module : lora.modules()) {
    const auto found = find_module(module.name, network);
    fit.obstacle = found ? tensors_->take(module, *found, fit.lora)
                         : concat("it has no module \"", printable(module.name), "\"");
    if (!fit.obstacle.empty()) return fit;
  }
  const bool any =
      std::ranges::any_of(fit.lora.parts, [](const auto& p) { return !p.second.modules.empty(); });
  if (!any) fit.obstacle = concat("it has none of the ", lora.modules().size(), " modules that are changed");
  return fit;
}

bool change_texts_alike(std::span<const Lora> a, std::span<const Lora> b) {
  const auto of_texts = [](std::span<const Lora> loras) {
    std::vector<std::pair<std::string, double>> changes;
    for (const Lora& lora : loras)
      if (lora.weight != 0 && std::ranges::any_of(lora.parts, [](const auto& one) {
            return one.first && !one.second.modules.empty();
          }))
        changes.emplace_back(lora.content, lora.weight);
    return changes;
  };
  return of_texts(a) == of_texts(b);
}

MergedWeights::MergedWeights(const WeightSource& weights, std::span<const Lora> loras, int threads,
                             Owner place)
    : weights_(weights), loras_(loras), place_(place) {
  if (!loras.empty()) backend_ = merging_backend(threads);
}

std::string MergedWeights::arithmetic() { return merging_backend(1)->arithmetic(); }

void MergedWeights::for_changes(const std::string& name,
                                FunctionRef<void(const Lora&, const LoraModule&, LoraTarget)> change) const {
  for (const Lora& lora : loras_) {
    const auto part = lora.parts.find(place_);
    if (part == lora.parts.end() || lora.weight == 0) continue;
    for (const auto& [target, kind] : kTargets) {
      if (!name.ends_with(kind)) continue;
      const auto module =
          part->second.modules.find(name.substr(0, name.size() - std::string_view(kind).size()));
      if (module == part->second.modules.end() || !changes(*module->second, target)) continue;
      change(lora, *module->second, target);
    }
  }
}

Int8Weight MergedWeights::load_int8(const std::string& name, const Shape& expected,
                                    const Tensor& sizes) const {
  bool changed = false;
  for_changes(name, [&](const Lora&, const LoraModule&, LoraTarget) { changed = true; });
  return changed ? WeightSource::load_int8(name, expected, sizes) : weights_.load_int8(name, expected, sizes);
}

Tensor MergedWeights::load(const std::string& name, const Shape& expected, DType dtype) const {
  Tensor merged;
  for_changes(name, [&](const Lora& lora, const LoraModule& module, LoraTarget target) {
    if (!merged) merged = weights_.load(name, expected, DType::f32);
    add_lora(*backend_, *lora.file, module, target, lora.weight, merged);
  });
  if (!merged) return weights_.load(name, expected, dtype);
  return rounded(merged, dtype, loras_.back().file->path(), name);
}

}  // namespace tstitch
