"""Does forgetting a multistep solver's history at the switch help? The table of docs/solvers.md.

    python3 tools/measure_solver_reset.py --tstitch build/release/apps/tstitch --images 8

Samples the demo family, small model up to t = 599, large from there (ratio 0.4), with and without --solver-reset, and
compares the final latents with the same stitched trajectory solved in about a thousand steps: what either costs
against the solution of the very same differential equation. `--images` is per class, ten classes.
"""
import argparse
import subprocess
import tempfile

import numpy as np

SWITCH = 599  # where the trajectories of 10 and 20 steps both switch at ratio 0.4
# solver: its spacing, and the fine solution: solver, steps, step after which t = SWITCH
CASES = {
    "pndm": ("trailing", ("pndm", 1000, 1000 - SWITCH)),
    "dpm++2m": ("linspace", ("dpm++2m", 999, 999 - SWITCH)),
    "unipc": ("linspace", ("dpm++2m", 999, 999 - SWITCH)),
    "euler": ("linspace", ("dpm++2m", 999, 999 - SWITCH)),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tstitch", required=True)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    latents = tempfile.NamedTemporaryFile(suffix=".npy")

    def sample(solver, steps, spacing, *options):
        command = [args.tstitch, "sample", "-q", "--dtype", "f32", "--sampler", solver, "--steps", str(steps), "--spacing", spacing,
                   "-b", str(args.images), "--batch-size", "40", "-s", str(args.seed), "--save-latent", latents.name, *options]
        subprocess.run(command, check=True)
        return np.load(latents.name).astype(np.float64)

    fine = {}
    print("| solver | steps | history | MSE to the fine solution | standard error | better per image |")
    for solver, (spacing, reference) in CASES.items():
        if reference not in fine:
            fine[reference] = sample(reference[0], reference[1], spacing, "--switch-step", str(reference[2]))
        for steps in (10, 20):
            errors = {}
            for history, option in (("kept", []), ("reset", ["--solver-reset"])):
                if solver == "euler" and option:
                    continue
                x = sample(solver, steps, spacing, "--ratio", "0.4", *option)
                errors[history] = ((x - fine[reference]) ** 2).mean(axis=(1, 2, 3))
            for history, e in errors.items():
                other = errors.get("reset" if history == "kept" else "kept", e)
                print(f"| {solver} | {steps} | {history} | {e.mean():.5f} | {e.std() / len(e) ** 0.5:.5f} | {(e < other).mean():.0%} |", flush=True)


if __name__ == "__main__":
    main()
