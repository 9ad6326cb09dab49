"""Stable Diffusion's AutoencoderKL at its real size, random weights: our answer and time beside diffusers'.

    python3 tools/compare/compare_autoencoder.py BUILD/bench/autoencoder_bench error [--size 32] [--decode-only]
    python3 tools/compare/compare_autoencoder.py BUILD/bench/autoencoder_bench time [--size 32] [--dtype bf16] [--rounds 3]
    python3 tools/compare/compare_autoencoder.py BUILD/bench/autoencoder_bench photograph DECODER ENCODER [--output FOLDER]

error: relative error (2-norm) of decoding and encoding against diffusers in f32. time: decoding, in turns (A B A B), on the
same threads. photograph: a tiny autoencoder's files; encodes and decodes scikit-learn's sample images (needs
scikit-learn) and prints the PSNR.
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
import autoencoders
import random_weights

SEED = 7


def run(bench, *arguments):
    return json.loads(subprocess.run([bench, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


def transformed(bench, x, *arguments):
    """What the program makes of the array x."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.npy"), os.path.join(folder, "out.npy")
        np.save(source, np.ascontiguousarray(x, np.float32))
        run(bench, "--input", source, "--output", target, "--repeats", 1, *arguments)
        return np.load(target)


def uniform(name, shape):
    return random_weights.uniform(name, shape, np.sqrt(3.0), SEED)


def error(bench, size, decode_only):
    """Random numbers through all of both; the largest difference is in 1/255 of [-1, 1] where a picture lies."""
    model = autoencoders.kl("sd", **autoencoders.SD)
    passes = [("decode", (1, 4, size, size), (), lambda z: model.decode(z).sample),
              ("encode", (1, 3, 8 * size, 8 * size), ("--encode",), lambda x: model.encode(x).latent_dist.mean)]
    for what, shape, arguments, theirs in passes[:1] if decode_only else passes:
        x = uniform("z" if what == "decode" else "picture", shape)
        with torch.inference_mode():
            expected = theirs(torch.from_numpy(x)).numpy()
        for dtype in ("f32", "bf16"):
            difference = transformed(bench, x, *arguments, "--dtype", dtype) - expected
            print(f"{what} {8 * size}^2 {dtype}: relative {np.linalg.norm(difference) / np.linalg.norm(expected):.2e}, largest "
                  f"{127.5 * abs(difference).max():.3f}/255 (values to {abs(expected).max():.1f})", flush=True)
        if not decode_only:
            model.bfloat16()
            with torch.inference_mode():
                rounded = theirs(torch.from_numpy(x).bfloat16()).float().numpy()
            model = autoencoders.kl("sd", **autoencoders.SD)
            print(f"{what} {8 * size}^2 PyTorch bf16: relative {np.linalg.norm(rounded - expected) / np.linalg.norm(expected):.2e}")


def timing(bench, size, dtype, rounds):
    """By the clock, and by the processor time of all threads, which other programs on the machine disturb less."""
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    kind = dict(f32=torch.float32, bf16=torch.bfloat16)[dtype]
    model = autoencoders.kl("sd", **autoencoders.SD).to(kind).to(memory_format=torch.channels_last)
    z = torch.from_numpy(uniform("z", (1, 4, size, size))).to(kind).contiguous(memory_format=torch.channels_last)
    ours, theirs = [], []
    with torch.inference_mode():
        model.decode(z)
        for _ in range(rounds):
            start, start_cpu = time.perf_counter(), time.process_time()
            model.decode(z)
            theirs.append({"ms": (time.perf_counter() - start) * 1e3, "cpu_ms": (time.process_time() - start_cpu) * 1e3})
            ours.append(run(bench, "--size", size, "--dtype", dtype, "--threads", threads, "--repeats", 1))
    print(f"{8 * size}^2 {dtype}, {threads} threads, peak {ours[0]['peak_mib']} MiB ({ours[0]['loaded_mib']} after loading)")
    for what in ("ms", "cpu_ms"):
        a, b = (statistics.median(x[what] for x in xs) for xs in (ours, theirs))
        rate = ours[0]["gflop_per_s"] * ours[0]["ms"] / a
        print(f"  {what}: ours {a:.0f} ({rate:.0f} GFLOP/s), PyTorch {b:.0f}, {b / a:.2f} times ours")


def photograph(bench, decoder, encoder, output):
    from sklearn.datasets import load_sample_image
    for name in ("china.jpg", "flower.jpg"):
        image = load_sample_image(name)
        image = image[:image.shape[0] // 8 * 8, :image.shape[1] // 8 * 8]
        x = image.transpose(2, 0, 1)[None] / 127.5 - 1
        for dtype in ("f32", "bf16"):
            files = ("--weights", decoder, "--encoder", encoder, "--dtype", dtype)
            y = transformed(bench, transformed(bench, x, "--encode", *files), *files)
            pixels = np.clip(np.round((y[0].transpose(1, 2, 0) + 1) * 127.5), 0, 255)
            print(f"{name} {dtype}: {10 * np.log10(255**2 / np.mean((pixels - image) ** 2)):.2f} dB")
            if output:
                from PIL import Image
                both = np.concatenate([image, pixels.astype(np.uint8)], axis=1)
                Image.fromarray(both).save(os.path.join(output, f"{name[:-4]}_{dtype}.png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bench")
    parser.add_argument("what", choices=("error", "time", "photograph"))
    parser.add_argument("files", nargs="*")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decode-only", action="store_true")
    parser.add_argument("--output")
    options = parser.parse_args()
    if options.what == "error":
        error(options.bench, options.size, options.decode_only)
    elif options.what == "time":
        timing(options.bench, options.size, options.dtype, options.rounds)
    else:
        photograph(options.bench, *options.files, options.output)


main()
