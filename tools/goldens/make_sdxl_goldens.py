"""Writes tests/golden/sdxl: final latents of diffusers' StableDiffusionXLPipeline with tiny networks, alone and stitched.

    python3 tools/goldens/make_sdxl_goldens.py

Random_weights.py's weights in f32; U-Nets with the layouts of SDXL, SSD-1B, Segmind-Vega, KOALA and the refiner, both text
encoders. Stitched: before step i of N the pipeline gets the small U-Net if and only if (i + 1) / N <= ratio, as T-Stitch's.
Tests make the folders of the models again from the configurations written here.
"""
import json
import os
import pathlib
import sys

import numpy as np
import torch
from diffusers import (AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline,
                       UNet2DConditionModel)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights
from make_sd_goldens import fill, tokenizer
from unets import CROSS, ONE, PLAIN, blocks, sdxl

SEED, SIDE, STEPS, SCALE = 7, 8, 10, 5.0
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/sdxl"
PROMPT, NEGATIVE = "a photograph of an astronaut riding a horse", "blurry"
WIDTHS, POOLED = (64, 192), 96  # of the encoders' tokens and the pooled text
SCHEDULER = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, steps_offset=1,
                 timestep_spacing="leading")
ZERO_SNR = dict(SCHEDULER, timestep_spacing="trailing", prediction_type="v_prediction", rescale_betas_zero_snr=True)


def tiny(depths, middle="UNetMidBlock2DCrossAttn", up_depths=None, layers=2, **more):
    config = sdxl((32, 32, 64), (1, 1, 2), depths, middle, up_depths, pooled=POOLED, layers=layers)
    return dict(config, sample_size=SIDE, cross_attention_dim=sum(WIDTHS), **more)


UNETS = {
    "sdxl": tiny((1, 1, 2)),
    "ssd1b": tiny((1, (2, 1), (1, 1)), ONE, ((1, 1, 2), (1, 2, 1), 1)),
    "vega": tiny((1, (1, 1), (2, 2)), ONE, ((2, 2, 2), (1, 1, 1), 1)),
    "koala_1b": tiny((1, 2, 1), layers=1),
    "koala_700m": tiny((1, 1, 2), None, layers=1),
}
UNETS["refiner"] = dict(UNETS["sdxl"], block_out_channels=(32, 32, 64, 64), attention_head_dim=(1, 1, 2, 2),
                        transformer_layers_per_block=1, cross_attention_dim=WIDTHS[1],
                        projection_class_embeddings_input_dim=POOLED + 5 * 256, **blocks([PLAIN, CROSS, CROSS, PLAIN]))
TEXT = dict(vocab_size=49408, num_hidden_layers=3, max_position_embeddings=77)
TEXTS = {"text": dict(TEXT, hidden_size=WIDTHS[0], num_attention_heads=1, intermediate_size=128, hidden_act="quick_gelu"),
         "text_2": dict(TEXT, hidden_size=WIDTHS[1], num_attention_heads=3, intermediate_size=256, hidden_act="gelu",
                        projection_dim=POOLED)}
# Of the pipeline's call, beside the prompt: {name: (small U-Net, ratio, U-Net, arguments)}.
CASES = {name: (None, 0, name, {}) for name in UNETS if name != "refiner"} | {
    "ssd1b_0.3": ("ssd1b", 0.3, "sdxl", {}),
    "ssd1b_0.5": ("ssd1b", 0.5, "sdxl", {}),
    "koala_0.5": ("koala_700m", 0.5, "sdxl", {}),
    "zeros": (None, 0, "sdxl", dict(negative_prompt=None)),
    "encoded": (None, 0, "sdxl", dict(negative_prompt="")),
    "sizes": (None, 0, "sdxl", dict(original_size=(100, 90), crops_coords_top_left=(5, 7), target_size=(64, 72))),
}


def uniform(name, shape):
    return torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), SEED))


def parts():
    torch.manual_seed(SEED)  # the autoencoder is only asked for its factor
    vae = AutoencoderKL(block_out_channels=(8,) * 4, norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 4,
                        up_block_types=("UpDecoderBlock2D",) * 4)
    ids = dict(bos_token_id=49406, eos_token_id=49407)
    classes = {"text": CLIPTextModel, "text_2": CLIPTextModelWithProjection}
    texts = {tag: fill(classes[tag](CLIPTextConfig(**config, **ids)), f"sdxl-{tag}") for tag, config in TEXTS.items()}
    first, second = tokenizer(), tokenizer()
    first.model_max_length = second.model_max_length = 77
    second.pad_token = "!"
    return dict(vae=vae, text_encoder=texts["text"], text_encoder_2=texts["text_2"], tokenizer=first, tokenizer_2=second)


def stitched(pipeline, small, ratio, large, **arguments):
    """The final latents."""
    def serve(step):
        pipeline.unet = small if (step + 1) / STEPS <= ratio else large

    def after(pipe, step, timestep, tensors):
        serve(step + 1)
        return tensors

    serve(0)
    arguments = dict(dict(negative_prompt=NEGATIVE), **arguments)
    return pipeline(PROMPT, num_inference_steps=STEPS, guidance_scale=SCALE, output_type="latent", callback_on_step_end=after,
                    **arguments).images


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    unets = {tag: random_weights.fill(UNet2DConditionModel(**config), f"sdxl-{tag}") for tag, config in UNETS.items()}
    configs = {tag: dict(_class_name="UNet2DConditionModel", **config) for tag, config in UNETS.items()}
    configs |= {tag: dict(model_type="clip_text_model", **config) for tag, config in TEXTS.items()}
    configs |= {tag: dict(_class_name="EulerDiscreteScheduler", **config)
                for tag, config in [("scheduler", SCHEDULER), ("zero_snr", ZERO_SNR)]}
    lines = ",\n".join(f"{json.dumps(tag)}: {json.dumps(config)}" for tag, config in configs.items())
    (FOLDER / "configs.json").write_text("{" + lines + "}\n")

    all_parts, x_T = parts(), uniform("x_T", (1, 4, SIDE, SIDE))
    make = lambda kind, scheduler, unet, **more: kind(scheduler=EulerDiscreteScheduler(**scheduler), unet=unet, add_watermarker=False,
                                                     **dict(all_parts, **more))
    save = lambda name, x: np.save(FOLDER / f"{name}.npy", x.numpy())

    pipeline = make(StableDiffusionXLPipeline, SCHEDULER, unets["sdxl"])
    pipeline.set_progress_bar_config(disable=True)
    context, _, pooled, _ = pipeline.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    save("context", context[0, ::8].contiguous())
    save("pooled", pooled)
    for name, (small, ratio, large, arguments) in CASES.items():
        save(name, stitched(pipeline, unets.get(small), ratio, unets[large], latents=x_T, **arguments))
    save("odd", stitched(pipeline, unets["koala_700m"], 0.5, unets["sdxl"], latents=uniform("x_T", (1, 4, 9, 13)), height=72, width=104))
    # The pipeline leaves the negative prompt out of clip_skip, the web UIs do not: encoded as if it were a prompt.
    context, _, pooled, _ = pipeline.encode_prompt(NEGATIVE, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False,
                                                   clip_skip=1)
    save("skip", stitched(pipeline, None, 0, unets["sdxl"], latents=x_T, clip_skip=1, negative_prompt=None,
                          negative_prompt_embeds=context, negative_pooled_prompt_embeds=pooled))

    base = stitched(pipeline, None, 0, unets["sdxl"], latents=x_T, denoising_end=0.8)
    refiner = make(StableDiffusionXLImg2ImgPipeline, SCHEDULER, unets["refiner"], text_encoder=None, tokenizer=None,
                   requires_aesthetics_score=True, force_zeros_for_empty_prompt=False)
    save("refined", stitched(refiner, None, 0, unets["refiner"], image=base, denoising_start=0.8))
    save("scored", stitched(refiner, None, 0, unets["refiner"], image=base, denoising_start=0.8, aesthetic_score=7.0,
                            negative_aesthetic_score=1.5))

    from_picture = make(StableDiffusionXLImg2ImgPipeline, SCHEDULER, unets["sdxl"])
    save("img2img", stitched(from_picture, None, 0, unets["sdxl"], image=uniform("picture", (1, 4, SIDE, SIDE)), strength=0.6,
                             generator=torch.Generator().manual_seed(SEED)))

    v = make(StableDiffusionXLPipeline, ZERO_SNR, unets["sdxl"])
    save("zero_snr", stitched(v, None, 0, unets["sdxl"], latents=x_T))


if __name__ == "__main__":
    main()
