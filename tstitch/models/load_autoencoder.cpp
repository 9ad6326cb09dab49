#include "tstitch/models/load_autoencoder.h"

#include "tstitch/base/error.h"
#include "tstitch/models/autoencoder_keys.h"
#include "tstitch/models/tiny_autoencoder.h"

namespace tstitch {

std::unique_ptr<Autoencoder> load_autoencoder(Backend& backend, const WeightSource& weights,
                                              const std::optional<AutoencoderKLConfig>& config,
                                              const WeightSource* tiny_encoder) {
  if (AutoencoderKeys::recognises(weights)) {
    const AutoencoderKeys keys(weights);
    return std::make_unique<AutoencoderKL>(config ? *config : infer_autoencoder_kl_config(keys),
                                           Weights(backend, keys));
  }
  const bool decoder = TinyAutoencoder::has_decoder(weights);
  if (!tiny_encoder && TinyAutoencoder::has_encoder(weights)) tiny_encoder = &weights;
  check(decoder || tiny_encoder, ErrorKind::input,
        "not an autoencoder: it has neither \"decoder.conv_in.weight\" nor \"encoder.conv_in.weight\" nor a "
        "tiny "
        "autoencoder's \"1.weight\" and \"19.bias\"");
  return std::make_unique<TinyAutoencoder>(backend, decoder ? &weights : nullptr, tiny_encoder);
}

}  // namespace tstitch
