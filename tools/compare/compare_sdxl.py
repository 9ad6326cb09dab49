"""Stitched pairs of SDXL's family at their published size, random weights: tstitch beside diffusers.

    python3 tools/compare/compare_sdxl.py build/release/apps/tstitch work/sdxl [--small ssd1b,vega,koala_700m] [--ratios 0.3,0.5]
                                          [--side 32] [--steps 10] [--dtype f32] [--ours-only] [--control]

Writes folders as diffusers has them, f16 (17 GB in all), which both read; prints the relative error of the final latents, the time and
the peak memory of each. diffusers computes in f32 with one network in memory at a time, the latents between them in a file: 16 GiB do,
21 with --control: a ControlNet of SDXL, random too, steers the large stage alone.
"""
import argparse
import gc
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from PIL import Image
from diffusers import ControlNetModel, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "goldens"))
import compare_clip
import make_control_goldens
import make_sdxl_goldens
import random_weights
import unets

PROMPT, NEGATIVE, SCALE = make_sdxl_goldens.PROMPT, make_sdxl_goldens.NEGATIVE, make_sdxl_goldens.SCALE
ENCODERS = {"text_encoder": (CLIPTextModel, dict(compare_clip.PUBLISHED["clip_l"])),
            "text_encoder_2": (CLIPTextModelWithProjection, dict(compare_clip.PUBLISHED["open_clip_g"], projection_dim=1280))}
STRENGTH = 0.7


def hint(side):
    """A picture to follow, RGB bytes."""
    values = random_weights.uniform("hint", (8 * side, 8 * side, 3), 1.0, 7)
    return Image.fromarray(np.uint8(127.5 * (values + 1)))


def control_net():
    config = {key: value for key, value in unets.PUBLISHED["sdxl"].items() if key in make_control_goldens.ENCODER}
    return ControlNetModel(**config)


def random_model(make, seed):
    """In f16, without ever being there in f32."""
    with torch.device("meta"):
        model = make()
    model = model.half().to_empty(device="cpu")
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        bound = random_weights.weight_scale(name, parameter.shape)
        parameter.data = torch.empty(parameter.shape).uniform_(-bound, bound).half()
    for module in model.modules():  # what is no weight was emptied too
        if hasattr(module, "position_ids"):
            module.position_ids = torch.arange(77)[None]
    return model


def write(folder, name, seed):
    """The folder of one model, encoders and scheduler only with the large one."""
    target = os.path.join(folder, name)
    if os.path.exists(os.path.join(target, "model_index.json")):
        return
    random_model(lambda: UNet2DConditionModel(**unets.PUBLISHED[name]), seed).save_pretrained(os.path.join(target, "unet"))
    if name == "sdxl":
        for i, (part, (kind, config)) in enumerate(ENCODERS.items()):
            whole = CLIPTextConfig(vocab_size=49408, bos_token_id=49406, eos_token_id=49407, **config)
            random_model(lambda: kind(whole), seed + i + 1).save_pretrained(os.path.join(target, part))
    EulerDiscreteScheduler(**make_sdxl_goldens.SCHEDULER).save_pretrained(os.path.join(target, "scheduler"))
    with open(os.path.join(target, "model_index.json"), "w") as index:
        json.dump({"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}, index)


def write_control_net(folder):
    if not os.path.exists(os.path.join(folder, "control", "config.json")):
        random_model(control_net, 99).save_pretrained(os.path.join(folder, "control"))


def encoded(folder):
    """Tokens (2, 77, 2048) and pooled text (2, 1280): the negative prompt's, the prompt's."""
    tokenizers = make_sdxl_goldens.tokenizer(), make_sdxl_goldens.tokenizer()
    for tokenizer in tokenizers:
        tokenizer.model_max_length = 77
    tokenizers[1].pad_token = "!"
    texts = {part: kind.from_pretrained(os.path.join(folder, "sdxl", part)).float().eval() for part, (kind, _) in ENCODERS.items()}
    pipeline = StableDiffusionXLPipeline(vae=None, unet=None, scheduler=EulerDiscreteScheduler(), tokenizer=tokenizers[0],
                                         tokenizer_2=tokenizers[1], add_watermarker=False, **texts)
    context, null, pooled, null_pooled = pipeline.encode_prompt(PROMPT, device="cpu", negative_prompt=NEGATIVE)
    return torch.cat([null, context]), torch.cat([null_pooled, pooled])


def theirs(folder, small, ratio, side, steps, x_T, told, steered):
    """The final latents by the rule of T-Stitch: the small one serves step i of N if and only if (i + 1) / N <= ratio."""
    scheduler = EulerDiscreteScheduler(**make_sdxl_goldens.SCHEDULER)
    scheduler.set_timesteps(steps)
    x = x_T * scheduler.init_noise_sigma
    context, pooled = told
    sizes = torch.tensor([[8.0 * side, 8 * side, 0, 0, 8 * side, 8 * side]] * 2)
    seconds, between = 0, os.path.join(folder, "between.npy")
    for name, serves in ((small, lambda i: (i + 1) / steps <= ratio), ("sdxl", lambda i: (i + 1) / steps > ratio)):
        mine = [i for i in range(steps) if serves(i)]
        if not mine:
            continue
        unet = UNet2DConditionModel.from_pretrained(os.path.join(folder, name, "unet"), torch_dtype=torch.float32).eval()
        control = steered and name == "sdxl" and ControlNetModel.from_pretrained(
            os.path.join(folder, "control"), torch_dtype=torch.float32).eval()
        picture = torch.from_numpy(np.array(hint(side), dtype=np.float32) / 255).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
        start = time.perf_counter()
        for i in mine:
            t = scheduler.timesteps[i]
            pair = scheduler.scale_model_input(torch.cat([x, x]), t)
            added, residuals = dict(text_embeds=pooled, time_ids=sizes), {}
            if control:
                down, middle = control(pair, t, context, controlnet_cond=picture, conditioning_scale=STRENGTH, added_cond_kwargs=added,
                                       return_dict=False)
                residuals = dict(down_block_additional_residuals=down, mid_block_additional_residual=middle)
            null, eps = unet(pair, t, context, added_cond_kwargs=added, **residuals).sample.chunk(2)
            x = scheduler.step(null + SCALE * (eps - null), t, x).prev_sample
        seconds += time.perf_counter() - start
        np.save(between, x.numpy())
        del unet, control
        gc.collect()
        x = torch.from_numpy(np.load(between))
    return x, seconds


def ours(program, folder, small, ratio, side, steps, dtype, x_T, steered):
    given, target = os.path.join(folder, "x_T.npy"), os.path.join(folder, "latents.npy")
    np.save(given, x_T.numpy())
    models = sum((["-m", os.path.join(folder, name)] for name in (small, "sdxl")), [])
    command = [program, "sample", *models, "--steps", str(steps), "--dtype", dtype, "-p", PROMPT, "-n", NEGATIVE, "--cfg-scale", str(SCALE),
               "-W", str(8 * side), "-H", str(8 * side), "--init-latent", given, "--save-latent", target, "--json"]
    if steered:
        control, picture = os.path.join(folder, "control"), os.path.join(folder, "hint.png")
        hint(side).save(picture)
        command += ["--control-net", f"{control},image={picture},strength={STRENGTH}",
                    "--stage", f"share={ratio},control=none", "--stage", ""]
    else:
        command += ["--ratio", str(ratio)]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return torch.from_numpy(np.load(target)), report


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--small", default="ssd1b,vega,koala_700m")
    parser.add_argument("--ratios", default="0.3,0.5")
    parser.add_argument("--side", type=int, default=32, help="of the latents")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--control", action="store_true")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    smalls = options.small.split(",")
    for seed, name in enumerate(["sdxl", "ssd1b", "vega", "koala_700m", "koala_1b"]):
        if name == "sdxl" or name in smalls:
            write(options.folder, name, 10 * seed)
    if options.control:
        write_control_net(options.folder)
    x_T = torch.from_numpy(random_weights.uniform("x_T", (1, 4, options.side, options.side), np.sqrt(3.0), 7))
    told = None if options.ours_only else encoded(options.folder)
    for small in smalls:
        for ratio in map(float, options.ratios.split(",")):
            x, report = ours(options.program, options.folder, small, ratio, options.side, options.steps, options.dtype, x_T,
                             options.control)
            parts = ", ".join(f"{m['name']} {m['evaluations']} x {m['ms_per_evaluation']:.0f} ms" for m in report["models"])
            line = (f"{small} {ratio}{' with a ControlNet' * options.control}, {8 * options.side}x{8 * options.side}, {options.dtype}: "
                    f"tstitch {report['sample_ms'] / 1e3:.1f} s ({parts}), peak {report['peak_memory_bytes'] / 2**30:.2f} GiB")
            if not options.ours_only:
                expected, seconds = theirs(options.folder, small, ratio, options.side, options.steps, x_T, told, options.control)
                error = float(torch.linalg.norm(x - expected) / torch.linalg.norm(expected))
                line += f"; relative {error:.2e}; PyTorch f32 {seconds:.1f} s"
            print(line, flush=True)


main()
