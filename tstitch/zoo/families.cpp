#include "tstitch/zoo/families/dit.h"
#include "tstitch/zoo/families/unet.h"
#include "tstitch/zoo/family.h"

namespace tstitch {
namespace {

constexpr std::string_view kUNetPipelines[] = {
    "StableDiffusionPipeline",          "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",   "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline",
    "LatentConsistencyModelPipeline",   "LatentConsistencyModelImg2ImgPipeline"};
constexpr std::string_view kDiTPipelines[] = {"DiTPipeline"};

// Our own configurations are those of DiTs, so whoever knows others by their tensors comes before.
constexpr Family kFamilies[] = {
    {.name = "U-Net",
     .pipelines = kUNetPipelines,
     .folder = "unet",
     .recognise = is_unet,
     .describe = describe_unet},
    {.name = "DiT",
     .pipelines = kDiTPipelines,
     .folder = "transformer",
     .recognise = is_dit,
     .describe = describe_dit},
};

}  // namespace

std::span<const Family> builtin_families() { return kFamilies; }

}  // namespace tstitch
