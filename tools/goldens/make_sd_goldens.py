"""Writes tests/golden/sd: whole trajectories of a small and a large text-conditional U-Net, stitched, by diffusers.

    python3 tools/goldens/make_sd_goldens.py

Tiny networks with random_weights.py's weights in f32, diffusers' own schedulers, transformers' text encoder and tokenizer;
the loop is T-Stitch's: step i of N goes to the small network if and only if (i + 1) / N <= ratio. Tests make the folders of
the models again from the configurations, names and shapes written here.
"""

import json
import os
import pathlib
import sys
import tempfile

import numpy as np
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, PNDMScheduler, UNet2DConditionModel
from diffusers.schedulers import scheduling_lcm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights
import unets as shapes_of_unets

SEED = 7
ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/sd"
PROMPT, NEGATIVE = "a photograph of an astronaut riding a horse", "blurry"
STEPS, SCALE, SIDE = 10, 7.5, 8
SCHEDULER = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, steps_offset=1,
                 set_alpha_to_one=False)
COMMON = dict(sample_size=SIDE, in_channels=4, out_channels=4, cross_attention_dim=64, attention_head_dim=4, norm_num_groups=8)
UNETS = {
    "large": dict(block_out_channels=[32, 64], layers_per_block=2, down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
                  up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"], **COMMON),
    "told": dict(block_out_channels=[16, 32], layers_per_block=1, down_block_types=["CrossAttnDownBlock2D"] * 2,
                 up_block_types=["CrossAttnUpBlock2D"] * 2, time_cond_proj_dim=32, **COMMON),
    "small": dict(block_out_channels=[16, 32], layers_per_block=1, down_block_types=["CrossAttnDownBlock2D"] * 2,
                  up_block_types=["CrossAttnUpBlock2D"] * 2, mid_block_type=None, **COMMON),
}
TEXT = dict(vocab_size=49408, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=128,
            max_position_embeddings=77, hidden_act="quick_gelu")
CASES = [("pndm", PNDMScheduler, dict(skip_prk_steps=True)), ("ddim", DDIMScheduler, dict(clip_sample=False)),
         ("euler", EulerDiscreteScheduler, {})]
RATIOS = [0, 0.4, 1]
LCM_STEPS, LCM_SCALE = 4, 2.5


def fill(model, tag):
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        short = name.removeprefix("text_model.")
        scale = random_weights.weight_scale(short, shape)
        parameter.data = torch.from_numpy(random_weights.uniform(f"{tag}/{short}", shape, scale, SEED))
    return model.eval()


def tokenizer():
    """CLIPTokenizer without a download: the vocabulary follows from the merges."""
    merges = (ROOT / "assets/clip_merges.txt").read_text().splitlines()
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    vocabulary = characters + [c + "</w>" for c in characters] + ["".join(m.split()) for m in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
        (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        return CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"))


def write_names(name, model):
    shapes = {k.removeprefix("text_model."): list(v.shape) for k, v in model.named_parameters()}
    (FOLDER / f"{name}_names.json").write_text("{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in shapes.items()) + "}\n")


@torch.no_grad()
def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    unets = {}
    for tag, config in UNETS.items():
        unets[tag] = fill(UNet2DConditionModel(**config), f"sd-{tag}")
        (FOLDER / f"{tag}_config.json").write_text(json.dumps(dict(_class_name="UNet2DConditionModel", **config), indent=1) + "\n")
        write_names(tag, unets[tag])
    text = fill(CLIPTextModel(CLIPTextConfig(**TEXT, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), "sd-text")
    (FOLDER / "text_config.json").write_text(json.dumps(dict(model_type="clip_text_model", **TEXT), indent=1) + "\n")
    write_names("text", text)
    (FOLDER / "scheduler_config.json").write_text(json.dumps(dict(_class_name="PNDMScheduler", skip_prk_steps=True, **SCHEDULER), indent=1) + "\n")

    ids = tokenizer()([NEGATIVE, PROMPT], padding="max_length", max_length=77, return_tensors="pt").input_ids
    contexts = text(ids).last_hidden_state
    x_T = torch.from_numpy(random_weights.uniform("x_T", (1, 4, SIDE, SIDE), np.sqrt(3.0), SEED))
    for name, scheduler_class, more in CASES:
        for ratio in RATIOS:
            scheduler = scheduler_class.from_config(dict(SCHEDULER, **more))
            scheduler.set_timesteps(STEPS)
            x, N = x_T * scheduler.init_noise_sigma, len(scheduler.timesteps)
            for i, t in enumerate(scheduler.timesteps):
                unet = unets["small" if (i + 1) / N <= ratio else "large"]
                model_input = scheduler.scale_model_input(torch.cat([x, x]), t)
                uncond, cond = unet(model_input, t, contexts).sample.chunk(2)
                x = scheduler.step(uncond + SCALE * (cond - uncond), t, x).prev_sample
            np.save(FOLDER / f"{name}_{ratio}.npy", x.numpy())

    # A network that is told the scale of guidance, alone and before one that is led away from the negative prompt.
    for ratio in [0.5, 1]:
        scheduler = LCMScheduler.from_config(SCHEDULER)
        scheduler.set_timesteps(LCM_STEPS)
        drawn = iter(random_weights.uniform("noise", (LCM_STEPS, 1, 4, SIDE, SIDE), np.sqrt(3.0), SEED))
        scheduling_lcm.randn_tensor = lambda *a, **k: torch.from_numpy(next(drawn))
        x = x_T
        for i, t in enumerate(scheduler.timesteps):
            if (i + 1) / LCM_STEPS <= ratio:
                eps = unets["told"](x, t, contexts[1:], timestep_cond=shapes_of_unets.told([LCM_SCALE], 32)).sample
            else:
                uncond, cond = unets["large"](torch.cat([x, x]), t, contexts).sample.chunk(2)
                eps = uncond + LCM_SCALE * (cond - uncond)
            x = scheduler.step(eps, t, x).prev_sample
        np.save(FOLDER / f"told_{ratio}.npy", x.numpy())


if __name__ == "__main__":
    main()
