"""Writes tests/golden/adaptive: the demo family with every image switching by itself, by PyTorch.

    python3 tools/goldens/make_adaptive_goldens.py

DDIM, 20 steps, each image walked alone: after a step of the small model it goes over when the detail of that step's
x0, against the noise there, exceeds the threshold.
"""
import json
import os
import pathlib
import sys

import numpy as np
import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from demo_files import load_model
from diffusion import Schedule, ddim_step
from random_weights import uniform

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/adaptive"
STEPS, THRESHOLD, IMAGES, SEED = 20, 0.025, 10, 7


def detail_to_noise(x0, abar):
    """x0: (C, H, W). The root mean square of what neighbours differ by, in units of the noise."""
    differences = torch.cat([x0.diff(dim=-1).flatten(), x0.diff(dim=-2).flatten()])
    return float(np.sqrt(abar / (1 - abar)) * differences.square().mean().sqrt())


@torch.inference_mode()
def walk(small, large, x, label):
    """Returns the final latent and the detail after every step of the small model."""
    schedule = Schedule.linear().respaced(str(STEPS))
    details = []
    switched = False
    for i in reversed(range(STEPS)):
        network = large if switched else small
        t = torch.tensor([int(schedule.timestep[i])])
        eps = network(x[None].float(), t, torch.tensor([label]))[0, : len(x)].double()
        abar = schedule.abar[i]
        if not switched:
            details.append(detail_to_noise((x - np.sqrt(1 - abar) * eps) / np.sqrt(abar), abar))
            switched = details[-1] > THRESHOLD
        x = ddim_step(schedule, i, x, eps)
    return x, details


def main():
    small, large = (load_model(str(ROOT / f"assets/fashion-{size}.safetensors")) for size in "sl")
    start = uniform("adaptive/x_T", (IMAGES, 1, 28, 28), np.sqrt(3.0), SEED)
    final, details = zip(*(walk(small, large, torch.from_numpy(x).double(), n % 10) for n, x in enumerate(start)))
    # A detail that close to the threshold would make the answer a matter of rounding.
    margin = min(abs(d - THRESHOLD) / THRESHOLD for one in details for d in one)
    assert margin > 1e-4, margin
    FOLDER.mkdir(exist_ok=True)
    np.save(FOLDER / "final.npy", torch.stack(final).float().numpy())
    (FOLDER / "switches.json").write_text(
        json.dumps({"steps": STEPS, "threshold": THRESHOLD, "small_steps": [len(d) for d in details]}) + "\n"
    )
    print("small steps", [len(d) for d in details], "margin", margin)


if __name__ == "__main__":
    main()
