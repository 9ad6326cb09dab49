"""Writes tests/golden/rng: what torch.randn answers, and what cuRAND's algorithm does.

    python3 tools/goldens/make_rng_goldens.py          on a processor with AVX2

torch_cpu.json   consecutive calls of torch.randn on the CPU: of each the FNV-1a hash of its bytes and its first and last numbers
torch_cuda.json  torch.randn on a CUDA device: numbers that a device printed, and cuda_randn() below
demo.npy         (3, 2, 1, 28, 28): three calls for each of two images of the demo family, seeds 5 and 6

No CUDA device is needed. What a device printed comes from the "Tensor x", "bias" and "y" that open the fused-kernel test in the README of
https://github.com/kapilsh/cuda-mode-lecture: three calls after torch.manual_seed(0).
"""
import json
import os
import sys

import numpy as np
import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from random_weights import philox4x32

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "rng")
ENDS = 32  # how many numbers at each end

# Each call: its size, and as many of its first numbers as are kept here.
PRINTED = [
    {"n": 80, "first": [-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284, -1.0745, -0.3631, -1.6711, 2.2655,
                        0.3117, -0.1842, 1.2866, 1.1820, -0.1271, 1.2169, 1.4353, 1.0605]},
    {"n": 10, "first": [0.1808, -0.5523, 0.9238, -0.7350, 1.3800, 0.8676, 0.1297, -0.9406, 0.8109, 0.8821]},
    {"n": 80, "first": [2.5441, -0.7163, -0.4934, 0.1267, 0.1014, -0.4035, 0.9023, 0.8099, -0.6884, 0.1372, 1.0377, 0.0925,
                        -0.3752, -0.0908, 2.0639, -1.8164, -0.2719, 0.2811, -1.0399, 0.7765]},
]


def fnv1a64(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def ends(x):
    """Floats print as doubles, which hold them exactly."""
    return {"n": len(x), "first": x[:ENDS].tolist(), "last": x[-ENDS:].tolist()}


def cpu_case(seed, sizes):
    generator = torch.Generator().manual_seed(seed)
    calls = [torch.randn(n, generator=generator).numpy() for n in sizes]
    return {"seed": seed, "calls": [ends(x) | {"fnv1a64": fnv1a64(x.tobytes())} for x in calls]}


def cuda_randn(seed, call, n):
    """Philox4x32-10 at {call, 0, i, 0}, the first of cuRAND's four normals; uniforms in f32, functions in f64."""
    i = np.arange(n, dtype=np.uint64)
    zero = np.zeros_like(i)
    words = philox4x32(np.stack([zero + np.uint64(call), zero, i, zero], axis=1), (seed % 2**32, seed >> 32)).astype(np.float32)
    unit = np.float32(2.0**-32)
    angle = unit * np.float32(6.2831855)
    u = (words[:, 0].astype(np.float64) * unit + unit / 2).astype(np.float32).astype(np.float64)
    v = (words[:, 1].astype(np.float64) * angle + angle / 2).astype(np.float32).astype(np.float64)
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def cuda_case(seed, call, n):
    return {"seed": seed, "call": call} | ends(cuda_randn(seed, call, n))


def write(name, value):
    with open(os.path.join(FOLDER, name), "w") as file:
        json.dump(value, file, separators=(",", ":"))
        file.write("\n")


def main():
    assert torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"), "the other transform has other last bits"
    os.makedirs(FOLDER, exist_ok=True)
    cases = [cpu_case(seed, [n]) for seed in (0, 123) for n in (1, 15, 16, 17, 100, 4 * 64 * 64)]
    cases += [cpu_case(seed, [15, 16, 3, 1, 17, 2, 100, 1]) for seed in (0, 2**33 + 5)]
    write("torch_cpu.json", cases)

    for call, printed in enumerate(PRINTED):
        difference = np.abs(cuda_randn(0, call, len(printed["first"])) - np.array(printed["first"])).max()
        assert difference < 0.51e-4, (call, difference)  # four decimals
    write("torch_cuda.json", {"printed": {"seed": 0, "calls": PRINTED},
                              "computed": [cuda_case(0, 0, 80), cuda_case(123, 0, 16384), cuda_case(2**33 + 5, 7, 100)]})

    images = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    demo = torch.stack([torch.stack([torch.randn(1, 28, 28, generator=g) for g in images]) for _ in range(3)])
    np.save(os.path.join(FOLDER, "demo.npy"), demo.numpy())


if __name__ == "__main__":
    main()
