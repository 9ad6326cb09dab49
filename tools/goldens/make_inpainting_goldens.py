"""Writes tests/golden/inpainting: final latents of diffusers' pipelines for inpainting with tiny networks.

    python3 tools/goldens/make_inpainting_goldens.py

The networks are those of make_sd_goldens.py and make_sdxl_goldens.py: of 4 channels, where what is known is put back after every step, and of 9, which
see the mask. The picture passes an autoencoder of 8 x 8 pixels a latent whose posterior is taken at its mean, as in tstitch;
so torch.randn after manual_seed(SEED) is the noise. blur.npy is scipy's Gaussian of a mask.
"""
import json
import os
import pathlib
import sys

import numpy as np
import torch
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler,
                       PNDMScheduler, StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline, UNet2DConditionModel,
                       UniPCMultistepScheduler)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from scipy.ndimage import gaussian_filter
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.dirname(__file__))
import make_sdxl_goldens as sdxl
import random_weights
from make_sd_goldens import NEGATIVE, PROMPT, SCALE, SCHEDULER, SEED, STEPS, TEXT, UNETS, fill, tokenizer

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/inpainting"
SIDE = 64  # pixels
VAE = dict(block_out_channels=[16] * 4, layers_per_block=1, norm_num_groups=8, latent_channels=4, scaling_factor=0.18215,
           down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4)
SCHEDULERS = {
    "pndm": PNDMScheduler.from_config(dict(SCHEDULER, skip_prk_steps=True)),
    "ddim": DDIMScheduler.from_config(dict(SCHEDULER, clip_sample=False)),
    "heun": HeunDiscreteScheduler.from_config(SCHEDULER),
    "unipc": UniPCMultistepScheduler.from_config(SCHEDULER),
    "dpm++2m": DPMSolverMultistepScheduler.from_config(SCHEDULER),
}
# Network, scheduler, strength.
CASES = [("large", name, 1) for name in SCHEDULERS] + [("large", "ddim", 0.6), ("large", "dpm++2m", 0.6), ("inpaint", "pndm", 1),
                                                       ("inpaint", "ddim", 0.6)]
# SDXL's: name, input channels, strength.
SDXL_CASES = [("sdxl_large", 4, 1), ("sdxl_inpaint", 9, 1), ("sdxl_inpaint", 9, 0.6)]


def picture():
    i = np.arange(SIDE * SIDE * 3)
    return Image.fromarray((i * 37 % 251 ^ i // 7 % 5).astype(np.uint8).reshape(SIDE, SIDE, 3))


def mask():
    painted = np.zeros((SIDE, SIDE), np.uint8)
    painted[13:45, 9:38] = 255
    return Image.fromarray(painted)


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mean
    vae = fill(AutoencoderKL(**VAE), "sd-vae")
    (FOLDER / "vae_config.json").write_text(json.dumps(dict(_class_name="AutoencoderKL", **VAE)) + "\n")
    shapes = {name: list(parameter.shape) for name, parameter in vae.named_parameters()}
    (FOLDER / "vae_names.json").write_text("{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in shapes.items()) + "}\n")
    text = fill(CLIPTextModel(CLIPTextConfig(**TEXT, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), "sd-text")
    words = tokenizer()
    words.model_max_length = 77
    networks = dict(UNETS, inpaint=dict(UNETS["large"], in_channels=9))
    networks = {tag: fill(UNet2DConditionModel(**networks[tag]), f"sd-{tag}") for tag in ("large", "inpaint")}
    for network, name, strength in CASES:
        pipeline = StableDiffusionInpaintPipeline(vae=vae, text_encoder=text, tokenizer=words, unet=networks[network],
                                                  scheduler=SCHEDULERS[name], safety_checker=None, feature_extractor=None,
                                                  requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        x = pipeline(PROMPT, negative_prompt=NEGATIVE, image=picture(), mask_image=mask(), height=SIDE, width=SIDE, strength=strength,
                     num_inference_steps=STEPS, guidance_scale=SCALE, generator=torch.Generator().manual_seed(SEED),
                     output_type="latent").images
        np.save(FOLDER / f"{network}_{name}_{strength}.npy", x.numpy())
    vae.register_to_config(scaling_factor=0.13025)
    for tag, channels, strength in SDXL_CASES:
        unet = UNet2DConditionModel(**dict(sdxl.UNETS["sdxl"], in_channels=channels))
        unet = random_weights.fill(unet, "sdxl-sdxl" if channels == 4 else "sdxl-inpaint")
        pipeline = StableDiffusionXLInpaintPipeline(unet=unet, scheduler=EulerDiscreteScheduler(**sdxl.SCHEDULER), add_watermarker=False,
                                                    **dict(sdxl.parts(), vae=vae))
        pipeline.set_progress_bar_config(disable=True)
        x = pipeline(PROMPT, negative_prompt=NEGATIVE, image=picture(), mask_image=mask(), height=SIDE, width=SIDE, strength=strength,
                     num_inference_steps=STEPS, guidance_scale=sdxl.SCALE, generator=torch.Generator().manual_seed(SEED),
                     output_type="latent").images
        np.save(FOLDER / f"{tag}_{strength}.npy", x.numpy())
    np.save(FOLDER / "blur.npy", gaussian_filter(np.asarray(mask())[8:20, 4:14] / 255, 3, mode="mirror", radius=8).astype(np.float32))


if __name__ == "__main__":
    main()
