"""Writes tests/golden/embedding: textual inversion as diffusers reads it, and files of it as people have them.

    python3 tools/goldens/make_embedding_goldens.py

Vectors are random_weights.py's: "<fox>" of three, for prompts, and "<smudge>" of one, for negative prompts. Of the tiny networks of
make_sd_goldens.py and make_sdxl_goldens.py: what the prompt is encoded as, and final latents, of SDXL stitched.

fox_*: the same three vectors as the stable-diffusion-webui saves them, as the code of Gal et al. does (a ParameterDict), as
diffusers does, and as kohya's scripts do; sdxl_*: those of both text encoders.
"""
import os
import pathlib
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import make_sd_goldens as sd
import make_sdxl_goldens as sdxl
import random_weights

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/embedding"
PROMPT, NEGATIVE = "a photograph of <fox> riding a horse", "blurry <smudge>"
WIDTH = 64  # of Stable Diffusion's and of SDXL's first encoder's tokens
COUNTS = {"fox": 3, "smudge": 1}


def vectors(name, encoder, width):
    return torch.from_numpy(random_weights.uniform(f"{name}/{encoder}", (COUNTS[name], width), 0.5, sd.SEED))


def of_sdxl(name):
    return {key: vectors(name, key, width) for key, width in zip(("clip_l", "clip_g"), sdxl.WIDTHS)}


def write_files():
    fox = vectors("fox", "clip_l", WIDTH)
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(fox)}, "name": "red-fox", "step": 500,
                "sd_checkpoint": "cafe", "sd_checkpoint_name": None}, FOLDER / "fox_webui.pt")
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(fox)})},
               FOLDER / "fox_parameters.pt")
    torch.save({"<fox>": fox}, FOLDER / "fox_diffusers.bin")
    save_file({"<fox>": fox}, FOLDER / "fox_diffusers.safetensors")
    save_file({"emb_params": fox}, FOLDER / "fox_kohya.safetensors")
    torch.save({"<smudge>": vectors("smudge", "clip_l", WIDTH)[0]}, FOLDER / "smudge.bin")
    for name in COUNTS:
        save_file(of_sdxl(name), FOLDER / f"sdxl_{name}.safetensors")
    torch.save(of_sdxl("fox"), FOLDER / "sdxl_fox.pt")


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_files()
    save = lambda name, x: np.save(FOLDER / f"{name}.npy", x.numpy())
    x_T = sdxl.uniform("x_T", (1, 4, sd.SIDE, sd.SIDE))

    all_parts = sdxl.parts()
    ids = dict(bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)
    text = sd.fill(CLIPTextModel(CLIPTextConfig(**sd.TEXT, **ids)), "sd-text")
    tokenizer = sd.tokenizer()
    tokenizer.model_max_length = 77
    pipeline = StableDiffusionPipeline(vae=all_parts["vae"], text_encoder=text, tokenizer=tokenizer,
                                       unet=sd.fill(UNet2DConditionModel(**sd.UNETS["large"]), "sd-large"),
                                       scheduler=PNDMScheduler(**sd.SCHEDULER, skip_prk_steps=True), safety_checker=None,
                                       feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_textual_inversion(FOLDER, weight_name="fox_diffusers.safetensors")
    pipeline.load_textual_inversion(FOLDER, weight_name="smudge.bin")
    context, _ = pipeline.encode_prompt(PROMPT, "cpu", 1, False)
    save("sd_context", context[0])
    save("sd", pipeline(PROMPT, negative_prompt=NEGATIVE, num_inference_steps=sd.STEPS, guidance_scale=sd.SCALE, latents=x_T,
                        output_type="latent").images)

    unets = {tag: random_weights.fill(UNet2DConditionModel(**sdxl.UNETS[tag]), f"sdxl-{tag}") for tag in ("ssd1b", "sdxl")}
    pipeline = StableDiffusionXLPipeline(scheduler=EulerDiscreteScheduler(**sdxl.SCHEDULER), unet=unets["sdxl"], add_watermarker=False,
                                         **all_parts)
    pipeline.set_progress_bar_config(disable=True)
    for name in COUNTS:
        for key, number in (("clip_l", ""), ("clip_g", "_2")):
            pipeline.load_textual_inversion(of_sdxl(name)[key], token=f"<{name}>", text_encoder=getattr(pipeline, "text_encoder" + number),
                                            tokenizer=getattr(pipeline, "tokenizer" + number))
    context, _, pooled, _ = pipeline.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    save("sdxl_context", context[0, ::4].contiguous())
    save("sdxl_pooled", pooled)
    sdxl.PROMPT = PROMPT
    save("ssd1b_0.5", sdxl.stitched(pipeline, unets["ssd1b"], 0.5, unets["sdxl"], latents=x_T, negative_prompt=NEGATIVE))


if __name__ == "__main__":
    main()
