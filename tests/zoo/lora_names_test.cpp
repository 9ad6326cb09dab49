#include "tstitch/zoo/lora_names.h"

#include <gtest/gtest.h>

#include <map>

#include "tstitch/models/module_names.h"

namespace tstitch {
namespace {

std::string module_of(const SpelledNames& names, const std::string& spelled) {
  const auto found = names.find(spelled);
  return found == names.end() ? "unknown" : found->second;
}

// No two modules are spelled alike, so that a spelled name means one.
TEST(LoraNames, NoTwoModulesAreSpelledAlike) {
  for (const char* preset : {"sd1", "sdxl", "sdxl_refiner", "ssd1b", "koala_700m", "bk_tiny"}) {
    std::map<std::string, std::string> spelled;
    for (const std::string& module : unet_modules(unet_preset(preset)))
      EXPECT_TRUE(spelled.emplace(underscored(module), module).second) << preset << ": " << module;
  }
}

TEST(LoraNames, OfStableDiffusion) {
  const SpelledNames names = unet_lora_names(unet_preset("sd1")).own;
  for (const auto& [spelled, module] :
       {std::pair{"down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
                  "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"},
        {"up_blocks_1_attentions_2_transformer_blocks_0_ff_net_0_proj",
         "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj"},
        {"mid_block_attentions_0_transformer_blocks_0_attn2_processor_to_out",
         "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"},
        {"output_blocks_2_1_conv", "up_blocks.0.upsamplers.0.conv"},
        {"output_blocks_5_2_conv", "up_blocks.1.upsamplers.0.conv"},
        {"input_blocks_10_0_in_layers_2", "down_blocks.3.resnets.0.conv1"}})
    EXPECT_EQ(module_of(names, spelled), module);
}

TEST(LoraNames, OfSdxl) {
  const SpelledNames names = unet_lora_names(unet_preset("sdxl")).own;
  for (const auto& [spelled, module] :
       {std::pair{"input_blocks_4_1_transformer_blocks_0_attn1_to_q",
                  "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"},
        {"input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"},
        {"middle_block_1_proj_in", "mid_block.attentions.0.proj_in"},
        {"output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"},
        {"label_emb_0_0", "add_embedding.linear_1"},
        {"time_embed_2", "time_embedding.linear_2"},
        {"out_2", "conv_out"}})
    EXPECT_EQ(module_of(names, spelled), module);
}

// SDXL's numbers, whatever is left: KOALA has one pair less of each stage, and the second of a stage of the
// way up was the third.
TEST(LoraNames, OfAPrunedNetworkMeanTheBlocksItWasMadeOf) {
  const LoraNames koala = unet_lora_names(unet_preset("koala_700m"));
  EXPECT_EQ(module_of(koala.unpruned, "input_blocks_4_1_proj_in"), "down_blocks.1.attentions.0.proj_in");
  EXPECT_EQ(module_of(koala.unpruned, "input_blocks_5_1_proj_in"), "");
  EXPECT_EQ(module_of(koala.unpruned, "output_blocks_1_1_proj_in"), "");
  EXPECT_EQ(module_of(koala.unpruned, "output_blocks_2_1_proj_in"), "up_blocks.0.attentions.1.proj_in");
  EXPECT_EQ(module_of(koala.unpruned, "up_blocks_0_attentions_1_proj_in"), "");
  EXPECT_EQ(module_of(koala.unpruned, "up_blocks_0_attentions_2_proj_in"),
            "up_blocks.0.attentions.1.proj_in");
  EXPECT_EQ(module_of(koala.unpruned, "mid_block_resnets_0_conv1"), "");
  EXPECT_EQ(module_of(koala.own, "up_blocks_0_attentions_1_proj_in"), "up_blocks.0.attentions.1.proj_in");
  EXPECT_EQ(module_of(koala.own, "up_blocks_0_attentions_2_proj_in"), "unknown");
  EXPECT_EQ(module_of(koala.unpruned, "double_blocks_0"), "unknown");
  // BK-SDM-Tiny has lost Stable Diffusion's innermost level, the first of its way up.
  const LoraNames tiny = unet_lora_names(unet_preset("bk_tiny"));
  EXPECT_EQ(module_of(tiny.unpruned, "up_blocks_0_resnets_0_conv1"), "");
  EXPECT_EQ(module_of(tiny.unpruned, "up_blocks_1_attentions_2_proj_in"), "up_blocks.0.attentions.1.proj_in");
  EXPECT_EQ(module_of(tiny.unpruned, "output_blocks_5_1_proj_in"), "up_blocks.0.attentions.1.proj_in");
  EXPECT_EQ(module_of(tiny.own, "up_blocks_0_attentions_1_proj_in"), "up_blocks.0.attentions.1.proj_in");
  // SSD-1B has all resnets, and of some transformers the first blocks.
  const LoraNames ssd = unet_lora_names(unet_preset("ssd1b"));
  const std::string block = "up_blocks_0_attentions_1_transformer_blocks_";
  EXPECT_EQ(module_of(ssd.unpruned, block + "3_attn1_to_q"),
            "up_blocks.0.attentions.1.transformer_blocks.3.attn1.to_q");
  EXPECT_EQ(module_of(ssd.unpruned, block + "4_attn1_to_q"), "");
}

TEST(LoraNames, OfTextEncoders) {
  for (const char* spelled : {"text_model_encoder_layers_31_mlp_fc1", "encoder_layers_31_mlp_fc1"})
    EXPECT_EQ(module_of(clip_text_lora_names(), spelled), "encoder.layers.31.mlp.fc1");
}

}  // namespace
}  // namespace tstitch
