"""Are planned stages as good as the best there are? `tstitch plan --divergence` beside measuring every order of stages.

    python3 tools/measure/plan_against_all.py --tstitch build/release/apps/tstitch
    python3 tools/measure/plan_against_all.py --tstitch build/release/apps/tstitch --metric fid --images 100

Forms are stages as --stage has them, the last the one that others are compared with. Their divergence is measured with one
seed, and plans are made for several speed-ups. With another seed every trajectory of at most --most-stages stages that
change at multiples of --grid steps is sampled, and every plan: how far the final latents are from those of the last form
alone, as a root mean square, or with --metric fid the FID of the pictures. Times are those of the divergence's evaluations,
for all alike. The last column says how the plan compares with the best that was measured and takes no longer: 1 as
good, less better.
"""
import argparse
import itertools
import json
import pathlib
import subprocess
import tempfile

import numpy as np

DEMO_FAMILY = ["model=fashion-s", "model=fashion-b", "model=fashion-l"]


def stretches(assignment):
    """[(form, its last step from 1), ...]"""
    spans = []
    for step, form in enumerate(assignment, 1):
        if spans and spans[-1][0] == form:
            spans[-1] = (form, step)
        else:
            spans.append((form, step))
    return spans


def all_assignments(forms, steps, grid, most_stages):
    for stages in range(1, most_stages + 1):
        for order in itertools.product(range(forms), repeat=stages):
            if any(a == b for a, b in zip(order, order[1:])):
                continue
            for switches in itertools.combinations(range(grid, steps, grid), stages - 1):
                ends = (*switches, steps)
                yield [form for form, first, end in zip(order, (0, *switches), ends) for _ in range(first, end)]


class Runs:
    def __init__(self, args, folder):
        self.args, self.folder, self.forms = args, pathlib.Path(folder), args.form or DEMO_FAMILY
        self.values, self.seconds = {}, {}

    def options(self, seed):
        a = self.args
        return ["--steps", str(a.steps), "--sampler", a.sampler, "-b", str(a.images), "--batch-size", str(a.batch_size),
                "-t", str(a.threads), "-s", str(seed), *a.options.split()]

    def tstitch(self, *words):
        return subprocess.run([self.args.tstitch, *words], check=True, capture_output=True, text=True).stdout

    def stages(self):
        return [word for form in self.forms for word in ("--stage", form)]

    def measure_divergence(self, weights):
        self.tstitch("analyze", "divergence", "-q", "-o", str(self.folder / "d.png"), *self.stages(), *self.options(self.args.seed + 1),
                     *(["--measure-weights"] if weights == "measured" else ["--sigma-data", weights]))
        measured = json.loads((self.folder / "d.json").read_text())["divergence"]
        if any(count != 1 for count in measured["evaluations"]):
            raise SystemExit(f"--sampler {self.args.sampler} evaluates some steps twice: expected one that does not")
        if not self.seconds:  # else the times of the first count: they are the same for all
            self.ages = [form["ages"] for form in measured["forms"]]
            for time in measured["times"]:
                # Where some steps are guided and some not, the slower.
                key = (time["form"], time["whole"])
                self.seconds[key] = max(self.seconds.get(key, 0), time["seconds"])
            self.steps = len(measured["evaluations"])
            self.times = {key: measured[key] for key in ("timed", "times", "decoding_seconds")}
        else:
            file = json.loads((self.folder / "d.json").read_text())
            file["divergence"].update(self.times)
            (self.folder / "d.json").write_text(json.dumps(file))

    def plan(self, speedup):
        text = self.tstitch("plan", "--divergence", str(self.folder / "d.json"), "--speedup", str(speedup), "--json",
                            "--switch-price", self.args.switch_price, *self.stages(), *self.options(self.args.seed + 1))
        plan = json.loads(text)
        counts = [word.split("*") for word in plan["assignment"].split()]
        return [int(form) for form, count in counts for _ in range(int(count))], plan["estimated_change"]["rms"]

    def time(self, assignment):
        first, total = 0, 0
        for form, end in stretches(assignment):
            total += sum(self.seconds[form, i % self.ages[form] == 0] for i in range(end - first))
            first = end
        return total

    def describe(self, assignment):
        return ", ".join(f"{self.forms[form].removeprefix('model=')} to {end}" for form, end in stretches(assignment))

    def value(self, assignment):
        """Of the metric, lower is better."""
        key = tuple(assignment)
        if key not in self.values:
            stages, last = [], len(self.forms) - 1
            for form, end in stretches(assignment):
                stages += ["--stage", self.forms[form] + (f",until={end}" if (form, end) != (last, self.steps) else "")]
            if assignment[-1] != last:
                stages += ["--stage", self.forms[last]]
            result = self.folder / ("x.npy" if self.args.metric == "latents" else "x.npz")
            self.tstitch("sample", "-q", *stages, *self.options(self.args.seed),
                         "--save-latent" if self.args.metric == "latents" else "-o", str(result))
            if self.args.metric == "latents":
                self.values[key] = np.load(result).astype(np.float64)
            else:
                self.values[key] = json.loads(self.tstitch("eval", str(result), "--metrics", "fid", "--json"))["metrics"]["fid"]
                result.unlink()
        if self.args.metric == "latents":
            alone = self.values[(len(self.forms) - 1,) * self.steps]
            return float(np.sqrt(((self.values[key] - alone) ** 2).mean()))
        return self.values[key]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tstitch", required=True)
    parser.add_argument("--form", action="append", help="a stage, repeat it; default: the demo family")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("--grid", type=int, default=2)
    parser.add_argument("--most-stages", type=int, default=3)
    parser.add_argument("--weights", default="4", help="of steps: several of --sigma-data's values, and \"measured\", with commas between")
    parser.add_argument("--speedups", default="1.2,1.5,2,2.5,3")
    parser.add_argument("--switch-price", default="1%")
    parser.add_argument("--metric", choices=("latents", "fid"), default="latents")
    parser.add_argument("--images", type=int, default=10, help="per class or prompt")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--options", default="", help="more of `sample`, in one word: \"--cfg-scale 1\"")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(args, folder)
        weights = args.weights.split(",")
        runs.measure_divergence(weights[0])
        alone = [len(runs.forms) - 1] * runs.steps
        runs.value(alone)
        measured_by = weights[0]
        everything = list(all_assignments(len(runs.forms), runs.steps, args.grid, args.most_stages))
        print(f"{len(everything)} trajectories, {args.metric}", flush=True)
        measured = [(runs.time(one), runs.value(one), one) for one in everything]
        print("| weights | speed-up | plan | estimated | measured | best measured | it is | plan / best |\n" + "|---" * 8 + "|")
        for by, speedup in itertools.product(weights, map(float, args.speedups.split(","))):
            if by != measured_by:
                runs.measure_divergence(by)
                measured_by = by
            limit = runs.time(alone) / speedup
            planned, estimated = runs.plan(speedup)
            value = runs.value(planned)
            fitting = [one for one in measured if one[0] <= limit]
            if not fitting:
                print(f"| {by} | {speedup:g} | {runs.describe(planned)} | {estimated:.4f} | {value:.4f} | none so fast | | |", flush=True)
                continue
            _, best, of = min(fitting, key=lambda one: one[1])
            ratio = value / best if best > 0 else float("inf") if value > 0 else 1
            print(f"| {by} | {speedup:g} | {runs.describe(planned)} | {estimated:.4f} | {value:.4f} | {best:.4f} | {runs.describe(of)} | {ratio:.3f} |",
                  flush=True)


if __name__ == "__main__":
    main()
