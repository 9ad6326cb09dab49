"""Every setting of diffusers' schedulers in a folder: its StableDiffusionPipeline beside tstitch, final latents in f32.

    python3 tools/compare/compare_schedulers.py build/release/apps/tstitch work/folder [--only TEXT]

The networks are the tiny ones of tools/goldens/make_sd_goldens.py, the settings those of scheduler_settings.py, the noise of the start
and of every step the same for both. Prints the relative error or what tstitch refuses; exits with 1 where a setting is neither refused
nor within 1e-4, but for those of which diffusers makes NaN. Beta sigmas of diffusers need scipy.
"""
import argparse
import json
import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import torch
import diffusers
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "goldens"))
import make_sd_goldens as sd
import random_weights
from scheduler_settings import SD, SETTINGS

TOLERANCE = 1e-4
MOST_STEPS = 64
SHAPE = (1, 4, sd.SIDE, sd.SIDE)


def networks():
    unet = sd.fill(UNet2DConditionModel(**sd.UNETS["large"]), "sd-large")
    text = sd.fill(CLIPTextModel(CLIPTextConfig(**sd.TEXT, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), "sd-text")
    vae = AutoencoderKL(block_out_channels=(8, 8, 8, 8), norm_num_groups=4, down_block_types=["DownEncoderBlock2D"] * 4,
                        up_block_types=["UpDecoderBlock2D"] * 4)
    return unet, text, vae


def uniform(name, shape):
    return torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), sd.SEED))


def make_folder(folder, unet, text):
    unet.save_pretrained(os.path.join(folder, "unet"))
    text.save_pretrained(os.path.join(folder, "text_encoder"))
    with open(os.path.join(folder, "model_index.json"), "w") as f:
        json.dump({"_class_name": "StableDiffusionPipeline"}, f)
    os.makedirs(os.path.join(folder, "scheduler"), exist_ok=True)


def write_scheduler(folder, name, keys, bare):
    """The file, and diffusers' scheduler of it."""
    kind, path = getattr(diffusers, name), os.path.join(folder, "scheduler")
    config = dict(_class_name=name, **{**SD, **keys})
    if not bare:
        kind.from_config(config).save_pretrained(path)
    else:
        with open(os.path.join(path, "scheduler_config.json"), "w") as f:
            json.dump(config, f)
    return kind.from_pretrained(path)


def theirs(parts, tokenizer, scheduler, steps, x_T, noise):
    unet, text, vae = parts
    tokenizer.model_max_length = 77
    module, drawn = sys.modules[type(scheduler).__module__], iter(noise)
    module.randn_tensor = lambda *_, **__: next(drawn)
    pipeline = StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
                                       feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(sd.PROMPT, negative_prompt=sd.NEGATIVE, num_inference_steps=steps, guidance_scale=sd.SCALE, latents=x_T.clone(),
                    height=8 * sd.SIDE, width=8 * sd.SIDE, output_type="latent").images


def ours(program, folder, steps, x_T, noise):
    """The latents, or None and the message."""
    command = [program, "sample", "-m", folder, "-p", sd.PROMPT, "-n", sd.NEGATIVE, "--cfg-scale", str(sd.SCALE), "--dtype", "f32",
               "--steps", str(steps), "--init-latent", f"{folder}/x_T.npy"]
    target = os.path.join(folder, "latents.npy")
    np.save(f"{folder}/x_T.npy", x_T.numpy())

    def run(*more):
        return subprocess.run([*command, *more], capture_output=True, text=True)

    plan = run("--dry-run", "--json")
    if plan.returncode:
        return None, plan.stderr.strip()
    np.save(f"{folder}/noise.npy", noise[:json.loads(plan.stdout)["trajectory"]["steps"]].numpy())
    for with_noise in (["--noise", f"{folder}/noise.npy"], []):  # samplers without noise of their own refuse it
        done = run("--save-latent", target, *with_noise)
        if done.returncode == 0:
            return torch.from_numpy(np.load(target)), ""
    return None, done.stderr.strip()


def described(name, keys, steps, bare):
    text = ", ".join(f"{k}={v if not isinstance(v, list) or len(v) < 9 else '...'}" for k, v in keys.items())
    return f"{name.removesuffix('Scheduler')} {steps}{' bare' if bare else ''}: {text}"


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the networks are tiny
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    diffusers.utils.logging.set_verbosity_error()
    os.makedirs(arguments.folder, exist_ok=True)
    parts, tokenizer = networks(), sd.tokenizer()
    make_folder(arguments.folder, *parts[:2])
    x_T, noise = uniform("x_T", SHAPE), uniform("noise", (MOST_STEPS, *SHAPE))
    bad = 0
    for setting in SETTINGS:
        name, keys, steps, bare = setting
        if arguments.only not in described(*setting):
            continue
        scheduler = write_scheduler(arguments.folder, name, keys, bare)
        found, refusal = ours(arguments.program, arguments.folder, steps, x_T, noise)
        if found is None:
            print(f"{'refused':10} {described(*setting)}\n           {refusal}", flush=True)
            bad += "scheduler_config.json" not in refusal and "rescale_betas_zero_snr" not in refusal
            continue
        expected = theirs(parts, tokenizer, scheduler, steps, x_T, noise)
        if not expected.isfinite().all():
            print(f"{'nan there':10} {described(*setting)}", flush=True)
            continue
        error = float((found - expected).norm() / expected.norm())
        fine = error <= TOLERANCE
        bad += not fine
        print(f"{error:<10.1e} {described(*setting)}{'' if fine else '   <-- too large'}", flush=True)
    print(f"{bad} settings neither agree nor are refused")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
