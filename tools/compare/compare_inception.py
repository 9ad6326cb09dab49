"""The network of FID on random pictures, random weights: our answer and time beside pytorch-fid's architecture.

    python3 tools/compare/compare_inception.py BUILD/bench/inception_bench error [--size 256]
    python3 tools/compare/compare_inception.py BUILD/bench/inception_bench time [--dtype f32] [--rounds 5] [--threads 2]

error: relative error (2-norm) of four pictures' features against PyTorch in f32, for both ways to resize, with random
weights and with the same read from a checkpoint as PyTorch saves it.
time: pictures per second in turns (A B C A B C) on the same threads: ours, resize included; PyTorch's network alone, in its
own layout and channels last.
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

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "goldens"))
import make_inception_goldens as goldens

PARTS = dict(pooled=(0, 2048), spatial=(2048, 2048 + 2023), logits=(2048 + 2023, None))


def run(bench, *arguments):
    return json.loads(subprocess.run([bench, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def error(options):
    model, x = goldens.network(), goldens.pictures("pictures", (4, options.size, options.size, 3))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, output = os.path.join(folder, "inception.pth"), os.path.join(folder, "features.npy")
        torch.save(model.state_dict(), checkpoint)
        for resize, prepare in (("tf1", goldens.tf1_input), ("pytorch_fid", goldens.pytorch_fid_input)):
            expected = goldens.features(model, prepare(x))
            for weights in ([], ["--weights", checkpoint]):
                run(options.bench, "--pictures", len(x), "--size", options.size, "--resize", resize, "--dtype", options.dtype, "--repeats", 1,
                    "--output", output, *weights)
                ours = np.load(output)
                errors = {part: np.linalg.norm(ours[:, begin:end] - expected[part].numpy()) / np.linalg.norm(expected[part].numpy())
                          for part, (begin, end) in PARTS.items()}
                print(resize, "checkpoint" if weights else "random", {part: f"{value:.1e}" for part, value in errors.items()})


@torch.inference_mode()
def timing(options):
    torch.set_num_threads(options.threads)
    dtype = dict(f32=torch.float32, bf16=torch.bfloat16)[options.dtype]
    x = torch.from_numpy(goldens.tf1_input(goldens.pictures("pictures", (options.pictures, options.size, options.size, 3))))
    x = x.permute(0, 3, 1, 2).to(dtype)
    layouts = {"PyTorch": torch.contiguous_format, "PyTorch, channels last": torch.channels_last}
    models = {name: goldens.network().to(dtype).to(memory_format=layout) for name, layout in layouts.items()}
    inputs = {name: x.contiguous(memory_format=layout) for name, layout in layouts.items()}

    def theirs(name):
        begin = time.perf_counter()
        models[name](inputs[name])
        return options.pictures / (time.perf_counter() - begin)

    for name in models:
        theirs(name)
    rates = {"tstitch": [], **{name: [] for name in models}}
    of_peak = []
    for _ in range(options.rounds):
        ours = run(options.bench, "--pictures", options.pictures, "--size", options.size, "--dtype", options.dtype, "--threads", options.threads,
                   "--repeats", 1)
        rates["tstitch"].append(ours["pictures_per_second"])
        of_peak.append(ours["of_peak"])
        for name in models:
            rates[name].append(theirs(name))
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(rates["tstitch"], values))
        print(f"{name}: {statistics.median(values):.1f} pictures/s ({min(values):.1f} to {max(values):.1f}), tstitch is {ratio:.2f} times as fast")
    print(f"of one thread's peak per processor second: {statistics.median(of_peak):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("what", choices=["error", "time"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    error(options) if options.what == "error" else timing(options)


if __name__ == "__main__":
    main()
