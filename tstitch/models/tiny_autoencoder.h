// The distilled autoencoders of Ollin Boer Bohan (github.com/madebyollin/taesd): plain convolutions and ReLU,
// no norm and no attention; a hundredth of an AutoencoderKL's work.
//
// Their keys are places in a list of layers, "3.conv.0.weight"; encoder and decoder come in files of their
// own, or together behind "taesd_encoder." and "taesd_decoder.", or as diffusers' "encoder.layers." and
// "decoder.layers.".
#pragma once

#include <variant>
#include <vector>

#include "tstitch/models/autoencoder.h"
#include "tstitch/nn/conv2d.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

// relu(conv(relu(conv(relu(conv(x))))) + x)
struct TinyBlock {
  TinyBlock(const Weights& weights, int64_t channels);
  Tensor operator()(Tensor x) const;

  Conv2d conv_0, conv_2, conv_4;
};

// A convolution, activated, of x or of x upsampled.
struct TinyConv {
  Tensor operator()(const Tensor& x) const { return conv(x, path, act, out); }

  Conv2d conv;
  Conv2dPath path;
  Activation act;
  DType out;
};

class TinyAutoencoder final : public Autoencoder {
 public:
  // Each half from a source that has it. Throws Error{input} naming the tensor when a weight is missing or
  // misshapen, or neither source has a half.
  TinyAutoencoder(Backend& backend, const WeightSource* decoder, const WeightSource* encoder);

  static bool has_decoder(const WeightSource& source);
  static bool has_encoder(const WeightSource& source);

  Tensor decode(const Tensor& z) const override;
  LatentDistribution encode(const Tensor& pictures) const override;  // no log-variance
  int64_t factor() const override { return 8; }
  int64_t latent_channels() const override { return latent_channels_; }
  // They were trained on what diffusion models see.
  double scaling_factor() const override { return 1; }
  double shift_factor() const override { return 0; }
  bool can_encode() const override { return !encoder_.empty(); }
  bool can_decode() const override { return !decoder_.empty(); }

 private:
  using Layers = std::vector<std::variant<TinyConv, TinyBlock>>;
  static Layers encoder_of(Backend& backend, const WeightSource& source);
  static Layers decoder_of(Backend& backend, const WeightSource& source);
  static Tensor run(const Layers& layers, Tensor x);

  Backend* backend_;
  int64_t latent_channels_ = 0;
  Layers encoder_, decoder_;
};

}  // namespace tstitch
