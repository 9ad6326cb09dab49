#include "tstitch/models/tiny_autoencoder.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

// Latents are held to (-3, 3), where those of photographs lie.
constexpr double kLatentLimit = 3;

// Where a file has a half: its layers behind a prefix, counted from `shift`. diffusers does not count the
// decoder's clamp.
struct KeyPlace {
  std::string_view prefix;
  int64_t shift;
};
constexpr KeyPlace kDecoderPlaces[] = {
    {"taesd_decoder.", 0}, {"decoder.layers.", -1}, {"decoder.", 0}, {"", 0}};
constexpr KeyPlace kEncoderPlaces[] = {
    {"taesd_encoder.", 0}, {"encoder.layers.", 0}, {"encoder.", 0}, {"", 0}};
constexpr const char* kKind = "a tiny autoencoder";  // in messages
constexpr int64_t kDecoderFirst = 1, kDecoderLast = 19, kEncoderFirst = 0, kEncoderLast = 14;

std::string layer_name(const KeyPlace& place, int64_t layer) {
  return concat(place.prefix, layer + place.shift);
}

// The half's place in the source, known by its first and last convolution.
template <size_t count>
const KeyPlace* find(const WeightSource& source, const KeyPlace (&places)[count], int64_t first,
                     int64_t last) {
  for (const KeyPlace& place : places)
    if (source.shape(layer_name(place, first) + ".weight") && source.shape(layer_name(place, last) + ".bias"))
      return &place;
  return nullptr;
}

const KeyPlace* decoder_place(const WeightSource& source) {
  return find(source, kDecoderPlaces, kDecoderFirst, kDecoderLast);
}
const KeyPlace* encoder_place(const WeightSource& source) {
  return find(source, kEncoderPlaces, kEncoderFirst, kEncoderLast);
}

}  // namespace

TinyBlock::TinyBlock(const Weights& weights, int64_t channels)
    : conv_0(weights / "conv.0", channels, channels, 3),
      conv_2(weights / "conv.2", channels, channels, 3),
      conv_4(weights / "conv.4", channels, channels, 3) {}

Tensor TinyBlock::operator()(Tensor x) const {
  const Tensor h = conv_2(conv_0(x, same(), Activation::relu), same(), Activation::relu);
  conv_4.add_to(x, h, same(), Activation::relu);
  return x;
}

bool TinyAutoencoder::has_decoder(const WeightSource& source) { return decoder_place(source) != nullptr; }
bool TinyAutoencoder::has_encoder(const WeightSource& source) { return encoder_place(source) != nullptr; }

TinyAutoencoder::Layers TinyAutoencoder::decoder_of(Backend& backend, const WeightSource& source) {
  const KeyPlace& place = *decoder_place(source);
  const auto at = [&](int64_t layer) { return Weights(backend, source) / layer_name(place, layer); };
  const std::string first = layer_name(place, kDecoderFirst) + ".weight";
  const int64_t width = extent_of(source, kKind, first, 4, 0), C = extent_of(source, kKind, first, 4, 1);
  const DType dtype = backend.compute_dtype();

  Layers layers;
  layers.emplace_back(TinyConv{Conv2d(at(1), C, width, 3), same(), Activation::relu, dtype});
  for (const auto& [blocks, upsampled] :
       {std::pair<std::array<int64_t, 3>, int64_t>{{3, 4, 5}, 7}, {{8, 9, 10}, 12}, {{13, 14, 15}, 17}}) {
    for (const int64_t block : blocks) layers.emplace_back(TinyBlock(at(block), width));
    Conv2dPath path = same();
    path.upsample = true;
    layers.emplace_back(
        TinyConv{Conv2d(at(upsampled), width, width, 3, false), path, Activation::none, dtype});
  }
  layers.emplace_back(TinyBlock(at(18), width));
  layers.emplace_back(TinyConv{Conv2d(at(kDecoderLast), width, 3, 3), same(), Activation::none, DType::f32});
  return layers;
}

TinyAutoencoder::Layers TinyAutoencoder::encoder_of(Backend& backend, const WeightSource& source) {
  const KeyPlace& place = *encoder_place(source);
  const auto at = [&](int64_t layer) { return Weights(backend, source) / layer_name(place, layer); };
  const int64_t width = extent_of(source, kKind, layer_name(place, kEncoderFirst) + ".weight", 4, 0);
  const std::string last = layer_name(place, kEncoderLast) + ".weight";
  const DType dtype = backend.compute_dtype();
  const Conv2dPath halved = {.stride = 2, .pad_before = 1, .pad_after = 1};

  Layers layers;
  layers.emplace_back(TinyConv{Conv2d(at(0), 3, width, 3), same(), Activation::none, dtype});
  layers.emplace_back(TinyBlock(at(1), width));
  for (const int64_t layer : {2, 6, 10}) {
    layers.emplace_back(TinyConv{Conv2d(at(layer), width, width, 3, false), halved, Activation::none, dtype});
    for (int64_t block = 1; block <= 3; ++block) layers.emplace_back(TinyBlock(at(layer + block), width));
  }
  layers.emplace_back(TinyConv{Conv2d(at(kEncoderLast), width, extent_of(source, kKind, last, 4, 0), 3),
                               same(), Activation::none, DType::f32});
  return layers;
}

TinyAutoencoder::TinyAutoencoder(Backend& backend, const WeightSource* decoder, const WeightSource* encoder)
    : backend_(&backend) {
  if (decoder) {
    check(has_decoder(*decoder), ErrorKind::input, "not a tiny autoencoder's decoder: it has no tensors \"",
          kDecoderFirst, ".weight\" and \"", kDecoderLast, ".bias\"");
    decoder_ = decoder_of(backend, *decoder);
    latent_channels_ =
        extent_of(*decoder, kKind, layer_name(*decoder_place(*decoder), kDecoderFirst) + ".weight", 4, 1);
  }
  if (encoder) {
    check(has_encoder(*encoder), ErrorKind::input, "not a tiny autoencoder's encoder: it has no tensors \"",
          kEncoderFirst, ".weight\" and \"", kEncoderLast, ".bias\"");
    encoder_ = encoder_of(backend, *encoder);
    const int64_t C =
        extent_of(*encoder, kKind, layer_name(*encoder_place(*encoder), kEncoderLast) + ".weight", 4, 0);
    check(!decoder || C == latent_channels_, ErrorKind::input, "the encoder has ", C,
          " latent channels, the decoder ", latent_channels_);
    latent_channels_ = C;
  }
}

Tensor TinyAutoencoder::run(const Layers& layers, Tensor x) {
  for (const auto& layer : layers)
    x = std::visit([&](const auto& apply) { return apply(std::move(x)); }, layer);
  return x;
}

Tensor TinyAutoencoder::decode(const Tensor& z) const {
  check_internal(can_decode() && z.shape().rank() == 4 && z.extent(3) == latent_channels_, "decode of ",
                 z.shape(), " with ", latent_channels_, " channels");
  const Tensor y = run(decoder_, soft_clamp(*backend_, z, kLatentLimit));  // in [0, 1]
  return combine(*backend_, {{2, &y}}, -1);
}

LatentDistribution TinyAutoencoder::encode(const Tensor& pictures) const {
  check_internal(can_encode() && pictures.shape().rank() == 4 && pictures.extent(3) == 3, "encode of ",
                 pictures.shape());
  check(pictures.extent(1) % factor() == 0 && pictures.extent(2) % factor() == 0, ErrorKind::usage,
        "pictures of ", pictures.extent(2), " x ", pictures.extent(1),
        " pixels cannot be encoded: expected multiples of ", factor());
  return {run(encoder_, combine(*backend_, {{0.5, &pictures}}, 0.5)), {}};
}

}  // namespace tstitch
