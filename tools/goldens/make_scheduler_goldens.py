"""Writes tests/golden/sd/schedulers.json: scheduler_config.json files and the final latents of diffusers' StableDiffusionPipeline.

    python3 tools/goldens/make_scheduler_goldens.py

A few of the settings that tools/compare/compare_schedulers.py compares, one for each key that is honoured.
"""
import json
import logging
import os
import sys
import tempfile
import warnings

import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "compare"))
import compare_schedulers as schedulers
from make_sd_goldens import FOLDER, tokenizer
from scheduler_settings import (BETA, BH1, EXPONENTIAL, HEUN, KARRAS, LOWEST, LU, PLMS, RANGE, SDE, THIRD, THRESHOLD, TRAILING, V, ZERO,
                                setting)

TRAINED = dict(num_train_timesteps=100, trained_betas=[round(1e-3 + 4e-4 * i, 6) for i in range(100)])
SETTINGS = [
    setting("EulerDiscrete", KARRAS),
    setting("EulerDiscrete", LOWEST, EXPONENTIAL),
    setting("EulerDiscrete", TRAILING, V, ZERO),
    setting("DPMSolverMultistep", KARRAS),
    setting("DPMSolverMultistep", LOWEST, dict(algorithm_type="sde-dpmsolver++")),
    setting("UniPCMultistep", LOWEST, KARRAS, dict(solver_order=1)),
    setting("LCM", TRAILING, dict(original_inference_steps=100), steps=4),
    setting("DDIM", TRAILING, V, ZERO),
    setting("DDIM", TRAINED, bare=True),
    setting("PNDM", PLMS, bare=True),
    setting("DDPM", dict(variance_type="fixed_large")),
    setting("HeunDiscrete", bare=True),
    setting("HeunDiscrete", BETA),
    setting("EulerDiscrete", RANGE, KARRAS),
    setting("DPMSolverMultistep", THIRD, BETA, LOWEST),
    setting("DPMSolverMultistep", HEUN, LU),
    setting("DPMSolverMultistep", THIRD, SDE, EXPONENTIAL),
    setting("UniPCMultistep", BH1, LOWEST, THIRD, dict(disable_corrector=[1])),
    setting("PNDM", PLMS, V),
    setting("DDPM", THRESHOLD),
    setting("LCM", dict(timestep_scaling=0.01), steps=4),
]


@torch.no_grad()
def main():
    torch.set_num_threads(1)  # the networks are tiny
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parts, words = schedulers.networks(), tokenizer()
    x_T, noise = schedulers.uniform("x_T", schedulers.SHAPE), schedulers.uniform("noise", (schedulers.MOST_STEPS, *schedulers.SHAPE))
    entries = []
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "scheduler"))
        for name, keys, steps, bare in SETTINGS:
            scheduler = schedulers.write_scheduler(folder, name, keys, bare)
            with open(os.path.join(folder, "scheduler", "scheduler_config.json")) as f:
                text = f.read()  # as it is: -Infinity is no JSON
            latents = schedulers.theirs(parts, words, scheduler, steps, x_T, noise)
            values = [float(f"{float(v):.7g}") for v in latents.flatten()]
            entries.append(dict(file=text, steps=steps, latents=values))
    (FOLDER / "schedulers.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")


if __name__ == "__main__":
    main()
