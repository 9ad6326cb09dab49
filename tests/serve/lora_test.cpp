// LoRAs of requests: what of them a model does not take is said, by the names that requests have.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/engine/tiny_sd.h"
#include "tstitch/engine/report.h"
#include "tstitch/serve/plan.h"

namespace tstitch::serve {
namespace {

using nlohmann::json;

class LorasOfRequests : public StableDiffusion {
 protected:
  static void SetUpTestSuite() {
    StableDiffusion::SetUpTestSuite();
    add_vae("large");
    // Of the attention of the large network, whose shapes the small one has not; ".1" is no ending.
    std::map<std::string, Tensor> tensors;
    const json names = parse_json_file(golden_path("sd/large_names.json"));
    for (const auto& [key, extents] : names.items()) {
      if (key.find("attn1.to_") == key.npos || !key.ends_with(".weight")) continue;
      const std::string module = "unet." + key.substr(0, key.size() - 7);
      tensors[module + ".lora_A.weight"] = Tensor({4, extents[1]}, DType::f32);
      tensors[module + ".lora_B.weight"] = Tensor({extents[0], 4}, DType::f32);
    }
    fs::create_directories(loras() / "more");
    write_safetensors((loras() / "more" / "fox-v1.1.safetensors").string(), tensors, {});
  }
  static fs::path loras() { return folder() / "loras"; }

  std::shared_ptr<const Plan> plan(const json& more) const {
    json all = {{"prompt", "a fox"}, {"width", 64},  {"height", 64},
                {"steps", 4},        {"ratio", 0.5}, {"seed", 3}};
    all.update(more);
    return planner.plan(read_request(all, catalog));
  }

  Limits limits;
  const Catalog catalog{
      CatalogOptions{.models = {(folder() / "small").string(), (folder() / "large").string()},
                     .models_dir = {},
                     .lora_dir = loras().string()}};
  const Planner planner{catalog, {}, limits, {.dtype = "f32", .threads = 1}};
};

TEST_F(LorasOfRequests, WhatAModelDoesNotTakeIsNoted) {
  for (const json& request :
       {json{{"lora", "more/fox-v1.1:0.5"}}, json{{"prompt", "a fox <lora:more/fox-v1.1:0.5>"}}}) {
    const auto made = plan(request);
    ASSERT_EQ(made->notes.size(), 1u) << request;
    EXPECT_TRUE(made->notes[0].starts_with("LoRA fox-v1.1 x 0.5 on small is not applied: "))
        << made->notes[0];
    const std::string parameters = png_text(made->spec, made->models, 0)[0].second;
    EXPECT_TRUE(parameters.starts_with("a fox <lora:fox-v1.1:0.5>\n")) << parameters;
    for (const std::string& text : {made->notes[0], parameters})
      EXPECT_EQ(text.find(folder().string()), text.npos) << text;
  }
  EXPECT_TRUE(plan(json::object())->notes.empty());
}

// Who says of a stage that it has none knows.
TEST_F(LorasOfRequests, AStageMayHaveNone) {
  const auto made = plan({{"lora", "more/fox-v1.1"}, {"stages", {{{"lora", "none"}}, json::object()}}});
  EXPECT_TRUE(made->notes.empty()) << made->notes[0];
  EXPECT_TRUE(made->models[0].loras.empty());
  EXPECT_EQ(made->models[1].loras.size(), 1u);
}

}  // namespace
}  // namespace tstitch::serve
