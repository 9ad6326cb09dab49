"""U-Nets at their published size, random weights: our answer and time beside diffusers'.

    python3 tools/compare/compare_unet.py BUILD/bench/unet_bench error [--models sd1,bk_tiny,ldm] [--size 64]
    python3 tools/compare/compare_unet.py BUILD/bench/unet_bench time [--models sd1] [--size 64] [--dtype bf16] [--rounds 3]

error: relative error (2-norm) of one evaluation of two images against diffusers in f32, and that of diffusers in bf16.
time: a guided evaluation (two images), in turns (A B A B), on the same threads.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights
import unets

SEED, TIMESTEP = 7, 741.0


def run(bench, *arguments):
    return json.loads(subprocess.run([bench, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def uniform(name, shape):
    return torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), SEED))


def tokens_of(name):
    return 1 if name.startswith("ldm") else 77


def inputs(name, size):
    context = uniform("context", (2, tokens_of(name), unets.PUBLISHED[name]["cross_attention_dim"]))
    return uniform("x", (2, 4, size, size)), context


def error(bench, name, size):
    x, context = inputs(name, size)
    model = unets.unet(name, unets.PUBLISHED[name])
    evaluate = lambda dtype: model(x.to(dtype), TIMESTEP, encoder_hidden_states=context.to(dtype)).sample.float().numpy()
    with torch.inference_mode():
        expected = evaluate(torch.float32)
        model.bfloat16()
        rounded = evaluate(torch.bfloat16)
    del model
    norm = np.linalg.norm(expected)
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("f32", "bf16"):
            target = os.path.join(folder, "y.npy")
            run(bench, "--model", name, "--size", size, "--tokens", tokens_of(name), "--dtype", dtype, "--repeats", 1, "--output", target)
            print(f"{name} {size}x{size} {dtype}: relative {np.linalg.norm(np.load(target) - expected) / norm:.2e}", flush=True)
    print(f"{name} {size}x{size} PyTorch bf16: relative {np.linalg.norm(rounded - expected) / norm:.2e}", flush=True)


def timing(bench, name, size, dtype, rounds):
    """By the clock, and by the processor time of all threads, which other programs on the machine disturb less."""
    from diffusers import UNet2DConditionModel
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    kind = dict(f32=torch.float32, bf16=torch.bfloat16)[dtype]
    with torch.device("meta"):
        model = UNet2DConditionModel(**unets.PUBLISHED[name])
    model = model.to(kind).to_empty(device="cpu").eval()
    for key, parameter in model.named_parameters():
        bound = random_weights.weight_scale(key, parameter.shape)
        parameter.data.uniform_(-bound, bound)
    layouts = {"eager": torch.contiguous_format, "channels_last": torch.channels_last}
    x, context = (value.to(kind) for value in inputs(name, size))
    times = {what: [] for what in ("ours", *layouts)}
    with torch.inference_mode():
        for i in range(rounds):
            for layout, memory_format in layouts.items():
                model.to(memory_format=memory_format)
                picture = x.contiguous(memory_format=memory_format)
                for warming in (True, False) if i == 0 else (False,):
                    start, start_cpu = time.perf_counter(), time.process_time()
                    model(picture, TIMESTEP, encoder_hidden_states=context)
                    if not warming:
                        times[layout].append({"ms": (time.perf_counter() - start) * 1e3, "cpu_ms": (time.process_time() - start_cpu) * 1e3})
            times["ours"].append(run(bench, "--model", name, "--size", size, "--tokens", tokens_of(name), "--dtype", dtype,
                                     "--threads", threads, "--repeats", 1))
    print(f"{name} {size}x{size} {dtype}, two images, {threads} threads")
    for what in ("ms", "cpu_ms"):
        ours, *theirs = (statistics.median(run[what] for run in runs) for runs in times.values())
        rate = times["ours"][0]["gflop_per_s"] * times["ours"][0]["ms"] / ours
        print(f"  {what}: ours {ours:.0f} ({rate:.0f} GFLOP/s)" +
              "".join(f", PyTorch {layout} {t:.0f} ({t / ours:.2f} times ours)" for layout, t in zip(layouts, theirs)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bench")
    parser.add_argument("what", choices=("error", "time"))
    parser.add_argument("--models", default="sd1,bk_tiny,ldm")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.models.split(","):
        if options.what == "error":
            error(options.bench, name, options.size)
        else:
            timing(options.bench, name, options.size, options.dtype, options.rounds)


main()
