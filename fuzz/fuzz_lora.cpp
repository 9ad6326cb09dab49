// The tensors of a file of LoRAs: what is taken for a change of a weight must be one.
#include "fuzz/expect_input_error.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/lora_forms.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tstitch;
  static const auto backend = make_backend({.device = "reference", .dtype = "f32"});
  expect_input_error([&] {
    const LoraFile lora(parse_safetensors(as_span(data, size), "fuzz"));
    for (const LoraModule& module : lora.modules())
      for (const Shape& shape : {Shape({8}), Shape({8, 4}), Shape({8, 4, 3, 3})})
        for (const LoraTarget target : {LoraTarget::weight, LoraTarget::bias})
          expect_input_error([&] {
            if (!changes(module, target) || !lora_obstacle(lora, module, target, shape).empty()) return;
            Tensor weight = random_uniform("weight", shape, 1, 7);
            add_lora(*backend, lora, module, target, 0.5, weight);
          });
  });
  return 0;
}
