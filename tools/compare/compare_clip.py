"""CLIP's text encoders at their published size, random weights: our answer and time beside transformers'.

    python3 tools/compare/compare_clip.py BUILD/bench/clip_bench error [--models clip_l,open_clip_h,open_clip_g]
    python3 tools/compare/compare_clip.py BUILD/bench/clip_bench time [--models clip_l] [--dtype bf16] [--rounds 5]

error: relative error (2-norm) of two encoded texts against transformers in f32, of all layers and without the last, both
normalised; and the error of transformers in bf16.
time: a prompt and its negative one, in turns (A B A B), on the same threads.
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
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights

SEED, TEXTS, POSITIONS, VOCABULARY = 7, 2, 77, 49408
PUBLISHED = {
    "clip_l": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, hidden_act="quick_gelu"),
    "open_clip_h": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, hidden_act="gelu"),
    "open_clip_g": dict(hidden_size=1280, num_hidden_layers=32, num_attention_heads=20, intermediate_size=5120, hidden_act="gelu"),
}


def run(bench, *arguments):
    return json.loads(subprocess.run([bench, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def ids():
    rows = 7919 * torch.arange(TEXTS * POSITIONS).reshape(TEXTS, POSITIONS) % (VOCABULARY - 2)
    rows[:, 0], rows[:, -1] = VOCABULARY - 2, VOCABULARY - 1
    return rows


def encoder(name):
    model = CLIPTextModel(CLIPTextConfig(vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, bos_token_id=VOCABULARY - 2,
                                         eos_token_id=VOCABULARY - 1, pad_token_id=VOCABULARY - 1, **PUBLISHED[name]))
    for key, parameter in model.named_parameters():
        short, shape = key.removeprefix("text_model."), tuple(parameter.shape)
        scale = random_weights.weight_scale(short, shape)
        parameter.data = torch.from_numpy(random_weights.uniform(f"{name}/{short}", shape, scale, SEED))
    return model.eval()


def answers(model):
    """What the last layer gives and what the one before it gives, normalised."""
    out = model(ids(), output_hidden_states=True)
    norm = getattr(model, "text_model", model).final_layer_norm
    return [out.last_hidden_state.float().numpy(), norm(out.hidden_states[-2]).float().numpy()]


@torch.inference_mode()
def error(bench, name):
    model = encoder(name)
    expected, rounded = answers(model), answers(model.bfloat16())
    del model
    relative = lambda skip, found: np.linalg.norm(found - expected[skip]) / np.linalg.norm(expected[skip])
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "y.npy")
        for skip in (0, 1):
            for dtype in ("f32", "bf16"):
                run(bench, "--model", name, "--skip", skip, "--dtype", dtype, "--repeats", 1, "--output", target)
                print(f"{name} without the last {skip}, {dtype}: relative {relative(skip, np.load(target)):.2e}", flush=True)
            print(f"{name} without the last {skip}, PyTorch bf16: relative {relative(skip, rounded[skip]):.2e}", flush=True)


@torch.inference_mode()
def timing(bench, name, dtype, rounds):
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    model, tokens = encoder(name).to(dict(f32=torch.float32, bf16=torch.bfloat16)[dtype]), ids()
    model(tokens)
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        model(tokens)
        theirs.append((time.perf_counter() - start) * 1e3)
        ours.append(run(bench, "--model", name, "--dtype", dtype, "--threads", threads, "--repeats", 1)["ms"])
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{name} {dtype}, {TEXTS} texts, {threads} threads: ours {a:.0f} ms, PyTorch {b:.0f} ms ({b / a:.2f} times ours)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bench")
    parser.add_argument("what", choices=("error", "time"))
    parser.add_argument("--models", default=",".join(PUBLISHED))
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name in options.models.split(","):
        if options.what == "error":
            error(options.bench, name)
        else:
            timing(options.bench, name, options.dtype, options.rounds)


if __name__ == "__main__":
    main()
