// What must be known of a kind of network: before its weights are loaded, and once they are.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "tstitch/backend/backend.h"
#include "tstitch/base/error.h"
#include "tstitch/diffusion/cheaper_form.h"
#include "tstitch/diffusion/network.h"
#include "tstitch/io/tensor_file.h"
#include "tstitch/nn/weights.h"
#include "tstitch/zoo/lora_names.h"

namespace tstitch {

struct ControlNetConfig;

// A kind of network and its sizes.
class Architecture {
 public:
  virtual ~Architecture() = default;
  virtual std::string name() const = 0;                // "DiT-XL/2"
  virtual nlohmann::ordered_json details() const = 0;  // its sizes by name
  virtual int64_t parameters() const = 0;
  // Of them those that may be of 8 bits (Weights::body).
  virtual int64_t body_parameters() const { return 0; }
  virtual double flops(int64_t height, int64_t width) const = 0;  // of one evaluation of one latent
  // Why such a network cannot be asked in that form, which is not the whole one; "" where it can.
  virtual std::string form_obstacle(const CheaperForm& /*form*/) const {
    return concat("it is a ", name(), ", which has no cheaper forms");
  }
  // The same operations in a form that it has, on average over evaluations of which that share is whole
  // (BlockCache).
  virtual double flops_in(const CheaperForm& /*form*/, double /*whole*/, int64_t height,
                          int64_t width) const {
    return flops(height, width);
  }
  // Those of its blocks that may be left out, of which CheaperForm::skip names some.
  virtual int64_t blocks() const { return 0; }
  // Bytes that an evaluation of one latent leaves to those after it.
  virtual int64_t kept_bytes(const CheaperForm& /*form*/, int64_t /*height*/, int64_t /*width*/,
                             DType /*compute*/) const {
    return 0;
  }
  // What is alive at once in an evaluation of one latent, at the least: 0 where that is not known.
  virtual int64_t activation_bytes(int64_t /*height*/, int64_t /*width*/, DType /*compute*/) const {
    return 0;
  }
  virtual int64_t unit() const = 0;  // of which the sides of a latent are multiples
  // The file's tensors under the names that `load` asks for; `file` must outlive them.
  virtual std::unique_ptr<WeightSource> weights(const TensorFile& file) const = 0;
  // What files of LoRAs call its modules; empty: there are none for such networks.
  virtual LoraNames lora_names() const { return {}; }
  // Why a ControlNet cannot steer such a network; "" where it can.
  virtual std::string control_obstacle(const ControlNetConfig& /*net*/) const {
    return concat("it is a ", name(), ", which none steers");
  }
  // Whether it has the way down and the middle of that U-Net, tensor by tensor.
  virtual bool has_encoder(const UNetConfig& /*unet*/) const { return false; }
  // Throws Error{input} naming the tensor when a weight is missing, misshapen or not finite.
  virtual std::unique_ptr<Network> load(Backend& backend, const WeightSource& weights) const = 0;
};

// Why a network of so many blocks has not these, ascending; "" where it has them.
inline std::string number_obstacle(std::span<const int64_t> numbers, int64_t blocks) {
  if (numbers.empty() || (0 <= numbers.front() && numbers.back() < blocks)) return "";
  return concat("it has ", blocks, blocks == 1 ? " block" : " blocks", ", expected numbers of 0 ... ",
                blocks - 1);
}

}  // namespace tstitch
