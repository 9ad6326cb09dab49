#include "tstitch/zoo/clip_text_config.h"

#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/zoo/config_reader.h"

namespace tstitch {

ClipTextConfig read_clip_text_config(const nlohmann::json& object, const std::string& where) {
  const ConfigReader reader(object, where);
  ClipTextConfig config;
  std::string type = "clip_text_model", activation = "quick_gelu";
  reader.read("model_type", type, {"clip_text_model"});
  reader.read("vocab_size", config.vocabulary, 1, 1 << 24);
  reader.read("max_position_embeddings", config.positions, 1, 1 << 16);
  reader.read("hidden_size", config.width, 1, 1 << 16);
  reader.read("num_hidden_layers", config.layers, 1, 256);
  reader.read("num_attention_heads", config.heads, 1, 1024);
  reader.read("intermediate_size", config.mlp_size, 1, 1 << 18);
  reader.read("hidden_act", activation, {"quick_gelu", "gelu"});
  config.activation = activation == "gelu" ? Activation::gelu : Activation::quick_gelu;
  check(config.width % config.heads == 0, ErrorKind::input, where, ": \"hidden_size\" is ", config.width,
        ", which does not divide into ", config.heads, " heads");
  return config;
}

}  // namespace tstitch
