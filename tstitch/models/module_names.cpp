#include "tstitch/models/module_names.h"

#include "tstitch/base/error.h"

namespace tstitch {

std::vector<std::string> unet_modules(const UNetConfig& config) {
  std::vector<std::string> modules = {"conv_in", "time_embedding.linear_1", "time_embedding.linear_2",
                                      "conv_norm_out", "conv_out"};
  if (config.guidance_width > 0) modules.emplace_back("time_embedding.cond_proj");
  if (config.added_width > 0)
    for (const char* module : {"add_embedding.linear_1", "add_embedding.linear_2"})
      modules.emplace_back(module);
  for (const UNetLayer& layer : unet_layers(config)) {
    const auto add = [&](const auto&... parts) { modules.push_back(concat(layer.name, parts...)); };
    switch (layer.kind) {
      case UNetLayer::Kind::resnet:
        for (const char* part : {".norm1", ".conv1", ".time_emb_proj", ".norm2", ".conv2"}) add(part);
        if (layer.inputs != layer.outputs) add(".conv_shortcut");
        break;
      case UNetLayer::Kind::transformer:
        for (const char* part : {".norm", ".proj_in", ".proj_out"}) add(part);
        for (int64_t i = 0; i < layer.depth; ++i) {
          for (const char* attention : {".attn1", ".attn2"})
            for (const char* part : {".to_q", ".to_k", ".to_v", ".to_out.0"})
              add(".transformer_blocks.", i, attention, part);
          for (const char* part : {".norm1", ".norm2", ".norm3", ".ff.net.0.proj", ".ff.net.2"})
            add(".transformer_blocks.", i, part);
        }
        break;
      case UNetLayer::Kind::downsample:
      case UNetLayer::Kind::upsample:
        add("");
    }
  }
  return modules;
}

std::vector<std::string> clip_text_modules(int64_t layers) {
  std::vector<std::string> modules = {"embeddings.token_embedding", "embeddings.position_embedding",
                                      "final_layer_norm", "text_projection"};
  for (int64_t i = 0; i < layers; ++i)
    for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
                             "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"})
      modules.push_back(concat("encoder.layers.", i, ".", part));
  return modules;
}

}  // namespace tstitch
