// A file of low-rank and other small changes of a network's weights: LoRA (Hu et al. 2021, arXiv 2106.09685)
// and its relatives, as kohya's scripts, LyCORIS, diffusers and PEFT write them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/io/tensor_file.h"

namespace tstitch {

// What a tensor is to the change of a weight, by the suffix of its name: "down", "up" and what else the forms
// of lora_forms.h are made of.
using LoraRole = std::string_view;

// The tensors that change one module.
struct LoraModule {
  std::string name;  // as the file spells it: "lora_unet_down_blocks_0_attentions_0_proj_in"
  std::map<LoraRole, std::string> tensors;  // their names in the file

  bool has(LoraRole role) const { return tensors.contains(role); }
};

// How PEFT says what a change is multiplied by, beside the tensors.
struct PeftScaling {
  std::string prefix;  // of the names it holds for, as "unet."
  double alpha = 1;
  std::map<std::string, double> alpha_of;  // of modules whose name ends so
  bool rank_stabilized = false;            // Kalajdzievski 2023, arXiv 2312.03732: alpha / sqrt(rank)
};

class LoraFile {
 public:
  // Reads names and shapes. Throws Error{input} as open_checkpoint, and [LORA_KEY] naming the first tensor
  // that is no part of any form, or comes twice.
  explicit LoraFile(const std::string& path);
  explicit LoraFile(TensorFile file);

  const std::string& path() const { return file_.path(); }
  std::string name() const;     // of the file, without its folder and ending
  std::string content() const;  // CRC-32 of its bytes, eight hexadecimal digits
  const std::vector<LoraModule>& modules() const { return modules_; }

  std::vector<int64_t> shape(const LoraModule& module, LoraRole role) const;
  // The tensor as f32 of that shape, of as many elements. Throws Error{input} as TensorFile::load.
  Tensor load(const LoraModule& module, LoraRole role, const Shape& shape) const;
  // What a change of that rank is multiplied by: alpha / rank where there is an alpha, else 1.
  double scale(const LoraModule& module, int64_t rank) const;

 private:
  TensorFile file_;
  std::vector<LoraModule> modules_;
  std::vector<PeftScaling> scalings_;
};

}  // namespace tstitch
