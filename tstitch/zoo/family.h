// Families of networks: how each is told from the others, and what it says of itself.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "tstitch/diffusion/denoiser.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/zoo/model_files.h"

namespace tstitch {

struct ModelInfo;

// What a family looks at: the tensors of a model, by name, shape and type, and the files beside them.
struct ModelSource {
  const ModelFiles& files;
  const TensorFile& tensors;
  WeightChoice weights;                        // which of them are asked for
  std::optional<Parameterization> prediction;  // what the user says that it predicts
};

struct Family {
  std::string_view name;
  // diffusers' pipelines of such networks ("_class_name" of model_index.json), and the folder they lie in.
  std::span<const std::string_view> pipelines = {};
  std::string_view folder = {};
  bool (*recognise)(const ModelSource& source);
  // Of a model that was recognised: its architecture, which loads and binds it (architecture.h), its latents,
  // how it is told what to draw, what it was trained with and how its reference samples. Throws Error{input}.
  ModelInfo (*describe)(const ModelSource& source);
};

// The table. The first family that recognises a model describes it.
std::span<const Family> builtin_families();

}  // namespace tstitch
