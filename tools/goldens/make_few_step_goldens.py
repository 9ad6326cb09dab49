"""Writes tests/golden/few_steps: final latents of diffusers' pipelines as models that were distilled are sampled.

    python3 tools/goldens/make_few_step_goldens.py

The networks are those of make_sd_goldens.py and make_sdxl_goldens.py, some of them told the scale of guidance. All noise is
torch's of manual_seed(SEED). Stitched: T-Stitch's rules of its SDXL pipeline, (i + 1) / N <= ratio, and of its pipeline for
LCM, which no script of it uses, i / N <= ratio but for ratios of 0 and 1. The reference tells its large LCM no scale at all,
because it looks at the small one to see whether it should; here each is told that can be.
"""
import os
import pathlib
import sys
import tempfile

import numpy as np
import torch
from diffusers import (DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler,
                       LatentConsistencyModelImg2ImgPipeline, LatentConsistencyModelPipeline, LCMScheduler, StableDiffusionPipeline,
                       StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline, TCDScheduler, UNet2DConditionModel)
from diffusers.schedulers import AysSchedules
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.dirname(__file__))
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import make_sd_goldens as sd
import make_sdxl_goldens as sdxl
import random_weights
import switch_rules

SEED, SIDE = 7, 8
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/few_steps"
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
CLEAN = dict(BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)  # of SDXL's folder, so of all made from_config
TRAILING = dict(timestep_spacing="trailing")
RANK, ALPHA = 4, 2.0
# What an LCM-LoRA changes.
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut",
           "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj")


def lcm_lora(unet):
    """In kohya's form with diffusers' names, as the published ones."""
    tensors = {}
    for name, module in unet.named_modules():
        if not (isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and name.endswith(TARGETS)):
            continue
        shape = module.weight.shape
        number = lambda end, extents, scale: torch.from_numpy(random_weights.uniform(f"lcm/{name}.{end}", extents, scale, SEED))
        key = "lora_unet_" + name.replace(".", "_")
        tensors |= {f"{key}.lora_down.weight": number("down", (RANK, *shape[1:]), np.sqrt(3 / np.prod(shape[1:]))),
                    f"{key}.lora_up.weight": number("up", (shape[0], RANK, *(1 for _ in shape[2:])), 1.0),
                    f"{key}.alpha": torch.tensor(ALPHA)}
    return tensors


def load_lcm_lora(pipeline):
    """And merge it, as the reference does."""
    with tempfile.TemporaryDirectory() as folder:
        save_file(lcm_lora(pipeline.unet), folder + "/lcm.safetensors")
        pipeline.load_lora_weights(folder, weight_name="lcm.safetensors")
    pipeline.fuse_lora(components=["unet"])
    pipeline.unload_lora_weights()


class Stitched(torch.nn.Module):
    """The small U-Net in the steps that the rule gives to it; who cannot be told the scale of guidance is not."""

    def __init__(self, small, large, rule, ratio, steps):
        super().__init__()
        self.small, self.large, self.rule, self.ratio, self.steps, self.step = small, large, rule, ratio, steps, 0
        self.config, self.dtype, self.device = large.config, large.dtype, large.device
        self.add_embedding = getattr(large, "add_embedding", None)

    def forward(self, *arguments, timestep_cond=None, **more):
        unet = self.small if self.rule(self.step, self.steps, self.ratio) else self.large
        self.step += 1
        told = timestep_cond if unet.config.time_cond_proj_dim else None
        return unet(*arguments, timestep_cond=told, **more)


def finished(pipeline, prompt, **arguments):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(prompt, output_type="latent", generator=torch.Generator().manual_seed(SEED), **arguments).images


def save(name, x):
    np.save(FOLDER / f"{name}.npy", x.numpy())


def of_stable_diffusion():
    configs = dict(sd.UNETS, told_large=dict(sd.UNETS["large"], time_cond_proj_dim=32))
    unet = lambda tag: sd.fill(UNet2DConditionModel(**configs[tag]), f"sd-{tag}")
    text = sd.fill(CLIPTextModel(CLIPTextConfig(**sd.TEXT, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), "sd-text")
    words = sd.tokenizer()
    words.model_max_length = 77
    common = dict(vae=sdxl.parts()["vae"], text_encoder=text, tokenizer=words, safety_checker=None, feature_extractor=None,
                  requires_safety_checker=False)
    picture = torch.from_numpy(random_weights.uniform("picture", (1, 4, SIDE, SIDE), np.sqrt(3.0), SEED))
    size = dict(height=8 * SIDE, width=8 * SIDE)
    lcm = lambda net: LatentConsistencyModelPipeline(unet=net, scheduler=LCMScheduler(clip_sample=False), **common)
    from_picture = lambda net: LatentConsistencyModelImg2ImgPipeline(unet=net, scheduler=LCMScheduler(clip_sample=False), **common)
    plain = lambda scheduler: StableDiffusionPipeline(unet=unet("large"), scheduler=scheduler, **common)

    save("lcm", finished(lcm(unet("told")), sd.PROMPT, **size))
    save("lcm_8", finished(lcm(unet("told")), sd.PROMPT, num_inference_steps=8, guidance_scale=3.0, **size))
    save("lcm_timesteps", finished(lcm(unet("told")), sd.PROMPT, num_inference_steps=None, timesteps=[939, 619, 219], **size))
    for strength in (0.8, 0.3):
        save(f"lcm_img2img_{strength}", finished(from_picture(unet("told")), sd.PROMPT, image=picture, strength=strength))
    for rule, ratio in [("step", 0.25), ("step", 0.5), ("lcm", 0.25), ("lcm", 0.5)]:
        both = Stitched(unet("told"), unet("told_large"), getattr(switch_rules, rule), ratio, 4)
        save(f"lcm_stitched_{rule}_{ratio}", finished(lcm(both), sd.PROMPT, **size))
    both = Stitched(unet("told"), unet("told_large"), lambda i, n, ratio: i < 1, 0, 4)  # down from t = 499 the large one serves
    save("lcm_stitched_img2img", finished(from_picture(both), sd.PROMPT, image=picture, strength=0.6))

    pipeline = plain(LCMScheduler.from_config(CLEAN))
    load_lcm_lora(pipeline)
    save("lcm_lora", finished(pipeline, sd.PROMPT, num_inference_steps=4, guidance_scale=1.0, **size))
    save("lcm_lora_guided", finished(pipeline, sd.PROMPT, negative_prompt=sd.NEGATIVE, num_inference_steps=4, guidance_scale=1.5, **size))
    save("hyper_tcd", finished(plain(TCDScheduler.from_config(CLEAN)), sd.PROMPT, num_inference_steps=4, guidance_scale=0, eta=0.3, **size))
    save("ays", finished(plain(DPMSolverMultistepScheduler.from_config(CLEAN)), sd.PROMPT, negative_prompt=sd.NEGATIVE,
                         timesteps=AysSchedules["StableDiffusionTimesteps"], guidance_scale=7.5, **size))


def of_sdxl():
    configs = dict(sdxl.UNETS, told=dict(sdxl.UNETS["sdxl"], time_cond_proj_dim=32))
    unet = lambda tag: random_weights.fill(UNet2DConditionModel(**configs[tag]), f"sdxl-{tag}")
    parts = sdxl.parts()
    size = dict(height=8 * SIDE, width=8 * SIDE)
    make = lambda net, scheduler, kind=StableDiffusionXLPipeline: kind(unet=net, scheduler=scheduler, add_watermarker=False, **parts)
    alone = lambda name, scheduler, **arguments: save(
        name, finished(make(unet("sdxl"), scheduler), sdxl.PROMPT, **dict(dict(guidance_scale=0), **arguments), **size))

    alone("turbo", EulerAncestralDiscreteScheduler(**BETAS, **TRAILING, steps_offset=1), num_inference_steps=4)
    alone("turbo_1", EulerAncestralDiscreteScheduler(**BETAS, **TRAILING, steps_offset=1), num_inference_steps=1)
    alone("lightning", EulerDiscreteScheduler.from_config(CLEAN, **TRAILING), num_inference_steps=4)
    alone("lightning_1", EulerDiscreteScheduler.from_config(CLEAN, **TRAILING, prediction_type="sample"), num_inference_steps=1)
    alone("hyper", DDIMScheduler.from_config(CLEAN, **TRAILING), num_inference_steps=4)
    alone("hyper_cfg", DDIMScheduler.from_config(CLEAN, **TRAILING), num_inference_steps=8, guidance_scale=5.0,
          negative_prompt=sdxl.NEGATIVE)
    alone("hyper_unified", TCDScheduler.from_config(CLEAN), num_inference_steps=1, eta=1.0)
    alone("hyper_unified_4", TCDScheduler.from_config(CLEAN), num_inference_steps=4, eta=0.5)
    alone("hyper_800", LCMScheduler.from_config(CLEAN), timesteps=[800])
    alone("named_euler", EulerDiscreteScheduler.from_config(CLEAN, timestep_spacing="leading"), timesteps=[999, 700, 350, 20])
    both = Stitched(unet("ssd1b"), unet("sdxl"), switch_rules.step, 0.5, 4)
    save("lightning_stitched", finished(make(both, EulerDiscreteScheduler.from_config(CLEAN, **TRAILING)), sdxl.PROMPT,
                                        num_inference_steps=4, guidance_scale=0, **size))

    lcm = LCMScheduler.from_config(CLEAN)
    pipeline = make(unet("sdxl"), lcm)
    load_lcm_lora(pipeline)
    save("sdxl_lcm_lora", finished(pipeline, sdxl.PROMPT, num_inference_steps=4, guidance_scale=0, **size))
    save("sdxl_lcm", finished(make(unet("told"), lcm), sdxl.PROMPT, num_inference_steps=4, guidance_scale=8.0, **size))
    picture = sdxl.uniform("picture", (1, 4, SIDE, SIDE))
    save("sdxl_lcm_img2img", finished(make(unet("told"), lcm, StableDiffusionXLImg2ImgPipeline), sdxl.PROMPT, image=picture, strength=0.5,
                                      num_inference_steps=4, guidance_scale=8.0))
    # T-Stitch's pair: SSD-1B with an LCM-LoRA, then an LCM.
    for ratio in (0.25, 0.5):
        small = make(unet("ssd1b"), lcm)
        load_lcm_lora(small)
        both = Stitched(small.unet, unet("told"), switch_rules.step, ratio, 4)
        save(f"sdxl_lcm_stitched_{ratio}", finished(make(both, lcm), sdxl.PROMPT, num_inference_steps=4, guidance_scale=8.0, **size))


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    of_stable_diffusion()
    of_sdxl()


if __name__ == "__main__":
    main()
