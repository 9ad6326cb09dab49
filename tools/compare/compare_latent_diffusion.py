"""Stitched U-Nets of published size in the files people have, random weights: tstitch beside diffusers.

    python3 tools/compare/compare_latent_diffusion.py build/release/apps/tstitch work/files [sd|ldm] [--side 16]

  sd    a Stable Diffusion 1 checkpoint of everything (original names, .safetensors) behind diffusers' folder of a BK-SDM Tiny: PNDM 50
        and DDIM 20, ratios 0, 0.4, 1, guidance 7.5, prompt and negative prompt
  ldm   ldm_s.ckpt before ldm.ckpt (Lightning's layout, class embedders, running averages beside): DDIM 100, eta 1, guidance 3, given noise,
        and the uniform random "unconditional" contexts of the reference, drawn as tstitch draws them

Prints the relative error of the final latents in f32, and the time of each.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, PNDMScheduler
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "goldens"))
import make_sd_goldens
import random_weights
import unets

SEED, SCALE = 7, 7.5
PROMPT, NEGATIVE = make_sd_goldens.PROMPT, make_sd_goldens.NEGATIVE


def original_names(model, prefix):
    """The state under CompVis' names, projections of the transformers as 1 x 1 convolutions."""
    modules = unets.compvis_modules(model, sparse=False)
    state = {}
    for name, tensor in model.state_dict().items():
        module = max((m for m in modules if name.startswith(m + ".")), key=len)
        rest = name[len(module):].replace(".attentions.0", "")
        state[prefix + modules[module] + rest] = tensor
    return state


def run(program, folder, models, steps, sampler, ratio, x_T, more):
    np.save(os.path.join(folder, "x_T.npy"), x_T.numpy())
    target = os.path.join(folder, "latents.npy")
    command = [program, "sample", *sum((["-m", m] for m in models), []), "--sampler", sampler, "--steps", str(steps), "--ratio", str(ratio),
               "--dtype", "f32", "--init-latent", os.path.join(folder, "x_T.npy"), "--save-latent", target, "--json", *more]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return torch.from_numpy(np.load(target)), report


def show(what, ours, theirs, seconds, report):
    error = float((ours - theirs).norm() / theirs.norm())
    parts = ", ".join(f"{m['name']} {m['evaluations']} x {m['ms_per_evaluation']:.0f} ms" for m in report["models"])
    print(f"{what}: relative {error:.2e}; {report['trajectory']['text']}; tstitch {report['sample_ms'] / 1e3:.1f} s ({parts}), "
          f"PyTorch {seconds:.1f} s, peak {report['peak_memory_bytes'] / 2**30:.2f} GiB", flush=True)


def stable_diffusion(program, folder, side):
    text = make_sd_goldens.fill(CLIPTextModel(CLIPTextConfig(bos_token_id=49406, eos_token_id=49407, pad_token_id=49407, hidden_size=768,
                                              num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, hidden_act="quick_gelu",
                                              vocab_size=49408)), "text")
    large, small = unets.unet("sd1", unets.PUBLISHED["sd1"]), unets.unet("bk_tiny", unets.PUBLISHED["bk_tiny"])
    checkpoint, tiny = os.path.join(folder, "sd1.safetensors"), os.path.join(folder, "bk-sdm-tiny")
    if not os.path.exists(checkpoint):
        state = original_names(large, "model.diffusion_model.")
        prefix = "cond_stage_model.transformer.text_model."
        state |= {prefix + k.removeprefix("text_model."): v for k, v in text.state_dict().items()}
        save_file({k: v.contiguous() for k, v in state.items()}, checkpoint)
        small.save_pretrained(os.path.join(tiny, "unet"))
        os.makedirs(os.path.join(tiny, "scheduler"), exist_ok=True)
        json.dump({"_class_name": "StableDiffusionPipeline"}, open(os.path.join(tiny, "model_index.json"), "w"))
        config = dict(_class_name="PNDMScheduler", skip_prk_steps=True, **make_sd_goldens.SCHEDULER)
        json.dump(config, open(os.path.join(tiny, "scheduler/scheduler_config.json"), "w"))
    ids = make_sd_goldens.tokenizer()([NEGATIVE, PROMPT], padding="max_length", max_length=77, return_tensors="pt").input_ids
    contexts = text(ids).last_hidden_state
    x_T = torch.from_numpy(random_weights.uniform("x_T", (1, 4, side, side), np.sqrt(3.0), SEED))
    for sampler, kind, steps, more in (("ddim", DDIMScheduler, 20, dict(clip_sample=False)), ("pndm", PNDMScheduler, 50, dict(skip_prk_steps=True))):
        for ratio in (0, 0.4, 1):
            scheduler = kind.from_config(dict(make_sd_goldens.SCHEDULER, **more))
            scheduler.set_timesteps(steps)
            x, N, start = x_T, len(scheduler.timesteps), time.perf_counter()
            for i, t in enumerate(scheduler.timesteps):
                unet = small if (i + 1) / N <= ratio else large
                uncond, cond = unet(torch.cat([x, x]), t, contexts).sample.chunk(2)
                x = scheduler.step(uncond + SCALE * (cond - uncond), t, x).prev_sample
            seconds = time.perf_counter() - start
            size = str(8 * side)
            ours, report = run(program, folder, [tiny, checkpoint], steps, sampler, ratio, x_T,
                               ["-p", PROMPT, "-n", NEGATIVE, "--cfg-scale", str(SCALE), "-W", size, "-H", size])
            show(f"sd {sampler} {steps} ratio {ratio}", ours, x, seconds, report)


def null_contexts(images, width, seed):
    """As tstitch draws them (condition/class_conditions.cpp): uniform in [0, 1), one block of four numbers at {i, ~1, image, 0}."""
    blocks = np.arange((width + 3) // 4, dtype=np.uint64)
    rows = []
    for image in range(images):
        counter = np.stack([blocks, np.full_like(blocks, 2**32 - 2), np.full_like(blocks, image), np.zeros_like(blocks)], axis=1)
        words = random_weights.philox4x32(counter, (seed % 2**32, seed >> 32))
        rows.append((words.reshape(-1)[:width] >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24))
    return torch.from_numpy(np.stack(rows))[:, None]


def latent_diffusion(program, folder, side):
    pair, files = [], []
    for name, width in (("ldm_s", 256), ("ldm", 512)):
        model = unets.unet(name, unets.PUBLISHED[name])
        table = torch.from_numpy(random_weights.uniform(name + "/classes", (1000, width), 1.0, SEED))
        pair.append((model, table, width))
        files.append(os.path.join(folder, name + ".ckpt"))
        if not os.path.exists(files[-1]):
            state = original_names(model, "model.diffusion_model.")
            average = {"model_ema." + k.removeprefix("model.").replace(".", ""): v for k, v in state.items()}
            raw = {k: 2 * v for k, v in state.items()}  # whoever reads these instead of the averages is wrong
            torch.save({"state_dict": raw | average | {"cond_stage_model.embedding.weight": table}, "global_step": 1}, files[-1])
    classes, steps, scale = [25, 187], 100, 3.0
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    bar = torch.cumprod(1 - betas, 0)
    timesteps = list(range(1, 1000, 1000 // steps))
    x_T = torch.from_numpy(random_weights.uniform("x_T", (2, 4, side, side), np.sqrt(3.0), SEED))
    noise = torch.from_numpy(random_weights.uniform("noise", (steps, 2, 4, side, side), np.sqrt(3.0), SEED))
    np.save(os.path.join(folder, "noise.npy"), noise.numpy())
    contexts = [torch.cat([null_contexts(2, width, 0), table[classes][:, None]]) for _, table, width in pair]
    for ratio in (0.4,):
        x, start = x_T.double(), time.perf_counter()
        for i in reversed(range(steps)):
            t = timesteps[i]
            which = 0 if ratio == 1.0 or t / 1000 > 1 - ratio else 1
            a, prev = bar[t], bar[timesteps[i - 1]] if i > 0 else bar[0]
            out = pair[which][0](torch.cat([x, x]).float(), t, contexts[which]).sample
            uncond, cond = out.double().chunk(2)
            eps = uncond + scale * (cond - uncond)
            sigma = ((1 - prev) / (1 - a) * (1 - a / prev)).sqrt()
            x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()
            x = prev.sqrt() * x0 + (1 - prev - sigma**2).sqrt() * eps + sigma * noise[steps - 1 - i]
        seconds, size = time.perf_counter() - start, str(8 * side)
        ours, report = run(program, folder, files, steps, "ddim", ratio, x_T,
                           ["--class", ",".join(map(str, classes)), "--noise", os.path.join(folder, "noise.npy"), "-W", size, "-H", size])
        show(f"ldm ddim {steps} eta 1 ratio {ratio}", ours.double(), x, seconds, report)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("what", nargs="?", choices=("sd", "ldm"))
    parser.add_argument("--side", type=int, default=16, help="of the latents")
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    if arguments.what != "ldm":
        stable_diffusion(arguments.program, arguments.folder, arguments.side)
    if arguments.what != "sd":
        latent_diffusion(arguments.program, arguments.folder, arguments.side)


if __name__ == "__main__":
    main()
