// Stable Diffusion XL (Podell et al. 2023, arXiv 2307.01952), its fine-tunes, its refiner and the networks
// pruned from it: SSD-1B, Segmind-Vega (Gupta et al. 2024, arXiv 2401.02677), KOALA (Lee et al. 2023, arXiv
// 2312.04005). Their architecture is the U-Net's (unet.h).
#pragma once

#include "tstitch/models/unet_config.h"
#include "tstitch/zoo/family.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// What sets a U-Net with an added condition apart from Stable Diffusion 1, as which `info` describes it.
// config: unet/config.json, empty where there is none. Markers in single files are honoured: the tensors
// "v_pred" and "ztsnr", the metadata "modelspec.prediction_type". Throws Error{input} by name for relatives
// whose latents, noise or texts are of another kind: Playground v2.5, CosXL, Kolors.
void describe_sdxl(const ModelSource& source, const UNetConfig& unet, const ModelConfig& config,
                   ModelInfo& info);

}  // namespace tstitch
