"""Does forgetting a multistep solver's history at the switch help? The table of docs/solvers.md.

    python3 tools/measure/measure_solver_reset.py --tstitch build/release/apps/tstitch --images 7

Samples the demo family, small model up to t = 599, large from there (ratio 0.4), in bf16 where the processor has it, with and without --solver-reset, and
compares the final latents with the same stitched trajectory solved in FINE_STEPS steps: what either costs against the
solution of the very same differential equation. `--images` is per class, ten classes.
"""
import argparse
import subprocess
import tempfile

import numpy as np

FINE_STEPS = 100
# solver: spacing, and who solves finely on the same spacing. At ratio 0.4 every multiple of ten steps switches at t = 599.
CASES = {
    "pndm": ("trailing", "pndm"),
    "dpm++2m": ("linspace", "unipc"),
    "unipc": ("linspace", "unipc"),
    "ddim": ("linspace", "unipc"),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tstitch", required=True)
    parser.add_argument("--small", default="fashion-s", help="fashion-l: the control, where nothing changes at the switch")
    parser.add_argument("--images", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    latents = tempfile.NamedTemporaryFile(suffix=".npy")

    def sample(solver, steps, spacing, *options):
        command = [args.tstitch, "sample", "-q", "-m", args.small, "-m", "fashion-l", "--ratio", "0.4", "--sampler", solver,
                   "--steps", str(steps), "--spacing", spacing, "-t", str(args.threads), "-b", str(args.images), "--batch-size", "16",
                   "-s", str(args.seed), "--save-latent", latents.name, *options]
        subprocess.run(command, check=True)
        return np.load(latents.name).astype(np.float64)

    fine = {}
    print("| solver | steps | history | MSE to the fine solution | standard error | better per image |")
    for solver, (spacing, reference) in CASES.items():
        if reference not in fine:
            fine[reference] = sample(reference, FINE_STEPS, spacing)
            half = sample(reference, FINE_STEPS // 2, spacing)
            print(f"| {reference} | {FINE_STEPS // 2} | kept | {((half - fine[reference]) ** 2).mean():.5f} | | |", flush=True)
        for steps in (10, 20):
            errors = {}
            for history, option in (("kept", []), ("reset", ["--solver-reset"])):
                if solver == "ddim" and option:
                    continue
                x = sample(solver, steps, spacing, *option)
                errors[history] = ((x - fine[reference]) ** 2).mean(axis=(1, 2, 3))
            for history, e in errors.items():
                other = errors.get("reset" if history == "kept" else "kept", e)
                print(f"| {solver} | {steps} | {history} | {e.mean():.5f} | {e.std() / len(e) ** 0.5:.5f} | {(e < other).mean():.0%} |", flush=True)


if __name__ == "__main__":
    main()
