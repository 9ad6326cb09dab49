// LoRAs of a model: matched to its modules by name and shape before anything is loaded, merged with each
// weight as that is loaded.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/base/function_ref.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/nn/weights.h"
#include "tstitch/zoo/lora_file.h"
#include "tstitch/zoo/lora_forms.h"
#include "tstitch/zoo/lora_names.h"

namespace tstitch {

struct ModelInfo;

// What of a LoRA changes one network: its modules of the file, by the network's names.
struct LoraPart {
  std::map<std::string, const LoraModule*> modules;
  int64_t without_home = 0;  // modules of the file for what this network has not
};

// A LoRA as it changes one model.
struct Lora {
  std::string path;   // as the user gave it
  double weight = 1;  // what its changes are multiplied by
  std::shared_ptr<const LoraFile> file;
  std::string content = "";  // LoraFile::content, once somebody has read it
  // Of the network, which has no place, and of the text encoders that there may be.
  std::map<std::optional<ClipPlace>, LoraPart> parts;

  // The same changes by as much.
  bool operator==(const Lora& other) const { return content == other.content && weight == other.weight; }
};

// Whether both lists change text encoders alike.
bool change_texts_alike(std::span<const Lora> a, std::span<const Lora> b);

// One that was asked for and is none of a model's.
struct RefusedLora {
  std::string path;  // as the user gave it
  double weight = 1;
  std::string obstacle;  // why
};

struct LoraFit {
  Lora lora;
  std::string obstacle;  // why it is none of this model's; "" where it is
};

// Matches LoRAs to one model, whose files and names are read once for all of them.
class LoraFitter {
 public:
  // Throws Error{input} where a file of the model is broken. It must outlive this.
  explicit LoraFitter(const ModelInfo& model);
  ~LoraFitter();

  // Throws Error{input} where the file is broken.
  LoraFit fit(const std::string& path, double weight, std::shared_ptr<const LoraFile> file) const;

 private:
  class Tensors;

  const ModelInfo& model_;
  LoraNames names_;
  std::unique_ptr<const Tensors> tensors_;  // null where there are no LoRAs for such networks
};

// The weights of a network or text encoder with the LoRAs' changes, of which none is kept.
class MergedWeights final : public WeightSource {
 public:
  // threads: of the host, that merge; 0: all processors. Their number changes no bit. place: of the text
  // encoder; nothing for the network. All must outlive this.
  MergedWeights(const WeightSource& weights, std::span<const Lora> loras, int threads,
                std::optional<ClipPlace> place = {});

  // What determines the bits of the merged weights beside the LoRAs, as Backend::arithmetic.
  static std::string arithmetic();

  std::optional<Shape> shape(const std::string& name) const override { return weights_.shape(name); }
  // In f32, rounded to `dtype` once. Throws Error{input} [MODEL_NONFINITE] when it becomes infinite, too.
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;
  // What they change is quantised anew.
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override;
  std::vector<std::string> stored_names(const std::string& name) const override {
    return weights_.stored_names(name);
  }

 private:
  // For every change of the tensor `name`.
  void for_changes(const std::string& name,
                   FunctionRef<void(const Lora&, const LoraModule&, LoraTarget)> change) const;

  const WeightSource& weights_;
  std::span<const Lora> loras_;
  std::optional<ClipPlace> place_;
  std::unique_ptr<Backend> backend_;  // of the host, in f32; null where there is nothing to merge
};

}  // namespace tstitch
