"""Adaptive switching beside fixed shares at equal cost: error of the final latents against the large model alone.

    python3 tools/compare/compare_adaptive.py [PROGRAM] [IMAGES]

The demo family, DDIM, 20 steps, no guidance, the same noise and classes for all. The mean squared error of a threshold
is compared with what fixed switches have at its mean number of small steps, by interpolation.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/release/apps/tstitch")
IMAGES = sys.argv[2] if len(sys.argv) > 2 else "1000"
STEPS = 20


def sample(*options):
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        out = subprocess.run(
            [PROGRAM, "sample", "--class", "random", "-b", IMAGES, "--batch-size", "50", "--cfg-scale", "1", "--steps",
             str(STEPS), "--save-latent", file.name, "--json", *options],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return np.load(file.name).astype(np.float64), json.loads(out)


def main():
    large, _ = sample("--switch-step", "0")
    error = lambda x: ((x - large) ** 2).mean()
    switches = [0, 2, 4, 6, 7, 8, 9, 10, 11, 12, 14]
    fixed = [error(sample("--switch-step", str(k))[0]) for k in switches]
    print("small steps, error with a fixed switch:", *(f"{k}: {e:.6f}" for k, e in zip(switches, fixed)), sep="\n")
    print("threshold, mean small steps, error, beside a fixed switch of the same mean")
    for threshold in (0.018, 0.02, 0.022, 0.025, 0.03, 0.04, 0.05, 0.08):
        x, report = sample("--switch", "auto", "--switch-threshold", str(threshold))
        mean = report["small_steps"]["mean"]
        print(f"{threshold:5} {mean:6.2f} {error(x):.6f} {error(x) / np.interp(mean, switches, fixed):.3f}", flush=True)


if __name__ == "__main__":
    main()
