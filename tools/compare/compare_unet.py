"""U-Nets at their published size, random weights: our answer and time beside diffusers'.

    python3 tools/compare/compare_unet.py BUILD/bench/unet_bench error [--models sd1,bk_tiny,ldm,sdxl,ssd1b,…] [--size 64]
    python3 tools/compare/compare_unet.py BUILD/bench/unet_bench time [--models sd1] [--size 64] [--dtype bf16,int8]
                                          [--rounds 3] [--peers eager,channels_last,openvino_bf16,openvino_int8]

error: relative error (2-norm) of one evaluation of two images against diffusers in f32, and that of diffusers in bf16. SDXL needs 11 GiB.
time: a guided evaluation (two images), in turns (A B A B), on the same threads (give it cores with `taskset`).
"""
import argparse
import copy
import functools
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
    """x, context, and of SDXL's relatives what is added to the timestep's embedding, whose sizes are not embedded first."""
    config = unets.PUBLISHED[name]
    width = config.get("projection_class_embeddings_input_dim")
    return (uniform("x", (2, 4, size, size)), uniform("context", (2, tokens_of(name), config["cross_attention_dim"])),
            None if width is None else uniform("added", (2, width)))


def evaluate(model, x, context, added):
    if added is None:
        return model(x, TIMESTEP, encoder_hidden_states=context).sample
    sizes = 6 * model.config.addition_time_embed_dim
    model.add_time_proj.forward = lambda _: added[:, -sizes:].reshape(12, -1)
    told = dict(text_embeds=added[:, :-sizes], time_ids=torch.zeros(2, 6))
    return model(x, TIMESTEP, encoder_hidden_states=context, added_cond_kwargs=told).sample


def relative(answer, expected):
    return f"relative {float(torch.linalg.norm(answer.float() - expected) / torch.linalg.norm(expected)):.2e}"


def error(bench, name, size, wanted):
    given = inputs(name, size)
    model = unets.unet(name, unets.PUBLISHED[name])
    with torch.inference_mode():
        expected = evaluate(model, *given)
        for peer in wanted:
            if peer.startswith(OPENVINO):
                import openvino_peer
                answer = openvino_peer.compiled(Positional(copy.deepcopy(model)), [value for value in given if value is not None],
                                                peer.removeprefix(OPENVINO), 2)()
                print(f"{name} {size}x{size} {peer}: {relative(torch.from_numpy(answer), expected)}", flush=True)
        rounded = evaluate(model.bfloat16(), *(None if value is None else value.bfloat16() for value in given))
    del model  # two of SDXL do not fit
    print(f"{name} {size}x{size} PyTorch bf16: {relative(rounded, expected)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("f32", "bf16", "int8"):
            target = os.path.join(folder, "y.npy")
            run(bench, "--model", name, "--size", size, "--tokens", tokens_of(name), "--dtype", dtype, "--warm-up", 0, "--repeats", 1,
                "--output", target)
            print(f"{name} {size}x{size} {dtype}: {relative(torch.from_numpy(np.load(target)), expected)}", flush=True)


class Positional(torch.nn.Module):
    """What OpenVINO converts: tensors by position."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, context, added=None):
        return evaluate(self.model, x, context, added)


def stopwatch(evaluate_once):
    start, start_cpu = time.perf_counter(), time.process_time()
    evaluate_once()
    return {"ms": (time.perf_counter() - start) * 1e3, "cpu_ms": (time.process_time() - start_cpu) * 1e3}


LAYOUTS = {"eager": torch.contiguous_format, "channels_last": torch.channels_last}
OPENVINO = "openvino_"


def peers(name, size, dtype, threads, wanted):
    """Functions that evaluate, by their names. What OpenVINO converts is the model itself where nothing else needs it: two of SDXL
    do not fit."""
    from diffusers import UNet2DConditionModel
    kind = dict(f32=torch.float32, bf16=torch.bfloat16, int8=torch.bfloat16)[dtype]
    with torch.device("meta"):
        model = UNet2DConditionModel(**unets.PUBLISHED[name])
    model = model.to(kind).to_empty(device="cpu").eval()
    for key, parameter in model.named_parameters():
        bound = random_weights.weight_scale(key, parameter.shape)
        parameter.data.uniform_(-bound, bound)
    given = [value for value in inputs(name, size) if value is not None]
    found = {}
    for peer in wanted:
        if peer.startswith(OPENVINO):
            import openvino_peer
            own = model if len(wanted) == 1 else copy.deepcopy(model)
            found[peer] = openvino_peer.compiled(Positional(own), given, peer.removeprefix(OPENVINO), threads)

    def eager(memory_format):
        model.to(memory_format=memory_format)
        x, context, *added = (value.to(kind) for value in given)
        evaluate(model, x.contiguous(memory_format=memory_format), context, *(added or [None]))

    for layout in LAYOUTS:
        if layout in wanted:
            found[layout] = functools.partial(eager, LAYOUTS[layout])
    return found


@torch.inference_mode()
def timing(bench, name, size, dtypes, rounds, wanted):
    """By the clock, and by the processor time of all threads, which other programs on the machine disturb less."""
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    others = peers(name, size, dtypes[0], threads, wanted)
    ours = [f"ours {dtype}" for dtype in dtypes]
    times = {what: [] for what in (*ours, *others)}
    for i in range(rounds):
        for what, evaluate_once in others.items():
            evaluate_once()  # its layout and its caches are its own again
            times[what].append(stopwatch(evaluate_once))
        for what, dtype in zip(ours, dtypes):
            times[what].append(run(bench, "--model", name, "--size", size, "--tokens", tokens_of(name), "--dtype", dtype,
                                   "--threads", threads, "--repeats", 1))
    print(f"{name} {size}x{size}, two images, {threads} threads")
    for what in ("ms", "cpu_ms"):
        found = {who: statistics.median(run[what] for run in runs) for who, runs in times.items()}
        flop = times[ours[0]][0]["gflop_per_s"] * times[ours[0]][0]["ms"]
        print(f"  {what}: " + ", ".join(f"{who} {t:.0f} ({flop / t:.0f} G/s, {t / found[ours[0]]:.2f} times {ours[0]})"
                                        for who, t in found.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bench")
    parser.add_argument("what", choices=("error", "time"))
    parser.add_argument("--models", default="sd1,bk_tiny,ldm")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="eager,channels_last",
                        help="eager, channels_last (PyTorch), openvino_f32, _bf16, _int8 (needs openvino, nncf); errors: of the latter")
    options = parser.parse_args()
    wanted = options.peers.split(",")
    for name in options.models.split(","):
        if options.what == "error":
            error(options.bench, name, options.size, wanted)
        else:
            timing(options.bench, name, options.size, options.dtype.split(","), options.rounds, wanted)


main()
