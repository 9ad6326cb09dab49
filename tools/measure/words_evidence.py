"""The paper's figures of pictures from prompts, re-made on the words family: quality, prompt, likeness and time of many forms.

    python3 tools/measure/words_evidence.py build/release/apps/tstitch --work ~/evidence [--style words-style.safetensors] ...

Every form samples the same prompts with the same noise, once for every repeat (other prompts, other noise). Printed as a table,
mean and standard deviation over the repeats:

s, speed-up of the models' evaluations, by themselves: the median of runs of all forms in turns
fid         by `tstitch eval`, with as many pictures as there are prompts: only to be compared with itself
agreement   100 x cosine of picture and prompt, by the two towers of assets/words-features.safetensors
likeness    100 x cosine of a picture's embedding and that of what the group's first form made of the same noise
psnr        of a picture to that same picture, dB

With --style also what the towers see in true views and in the same drawn by the style's pen, of whose pictures they are the judges.

Needs Noto Color Emoji, unicode-cldr-core and tools/requirements.txt. What is done is kept in --work and not done again.
"""
import argparse
import hashlib
import json
import pathlib
import statistics
import subprocess
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools/demo_family"))
import emoji  # noqa: E402
import looks  # noqa: E402
import make_reference  # noqa: E402
import pictures  # noqa: E402
import towers  # noqa: E402
from train_style import plain  # noqa: E402
from train_towers import exact_caption  # noqa: E402

S, L = "words-s", "words-l"
TIMED, ROUNDS = 16, 3  # pictures, rounds
DRAWN_SEED, DRAWN = 55, 300  # of true views, drawn and not


def stages(*parts):
    return [word for part in parts for word in ("--stage", part)]


def turns(*parts):
    return stages(*(f"model={model},share={share}" for model, share in parts[:-1]), f"model={parts[-1][0]}")


def stitched(ratio, *rest):
    return ["-m", S, "-m", L, "--ratio", str(ratio), *rest]


def groups(args):
    """Forms by group, label and words of the command line; the first of a group is what the others are compared with."""
    forms = {
        "ratio": {"L": ["-m", L], **{f"S to {ratio}, L": stitched(ratio) for ratio in (0.2, 0.4, 0.6, 0.8)}, "S": ["-m", S],
                  "L, half the steps": ["-m", L, "--steps", str(args.steps // 2)]},
        "order at 0.4": {"L": ["-m", L], "S to 0.4, L": stitched(0.4),
                         "L, S": turns((L, 0.6), (S, 0.4)),
                         "S, L, S": turns((S, 0.2), (L, 0.6), (S, 0.2)),
                         "L, S, L": turns((L, 0.3), (S, 0.4), (L, 0.3))},
        "cheaper forms": {"L": ["-m", L], "L, cache=2": ["-m", L, *stages("cache=2")], "L, cache=3": ["-m", L, *stages("cache=3")],
                          "S to 0.4, L cache=2": ["-m", S, "-m", L, *stages("share=0.4", "cache=2")],
                          "L cache=2 to 0.4, L": turns((L + ",cache=2", 0.4), (L, 0.6))},
    }
    if args.style:
        lora = "lora=" + args.style
        forms["a style"] = {"L with the LoRA": ["-m", L, "--lora", args.style],
                            **{f"S to {ratio}, L with the LoRA": ["-m", S, "-m", L, *stages(f"share={ratio}", lora)]
                               for ratio in (0.2, 0.4, 0.6)}}
    if args.lcm:
        few = ["--sampler", "lcm", "--steps", "4", "--cfg-scale", "1"]
        forms["four steps"] = {"L": ["-m", L],
                               "L, 4 steps": ["-m", L, "--steps", "4"],
                               "L with the LCM LoRA, 4 steps": ["-m", L, "--lora", args.lcm, *few]}
    return forms


def digest(files):
    """Of what the files hold."""
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


class Bench:
    def __init__(self, args):
        self.args, self.work = args, pathlib.Path(args.work).expanduser()
        self.work.mkdir(parents=True, exist_ok=True)
        self.model = towers.load(str(ROOT / "assets/words-features.safetensors"))
        self.embeddings, self.pixels = {}, {}
        assets = [*(ROOT / "assets").glob("words-*"), *(ROOT / "assets/words").rglob("*.safetensors")]
        self.weights = digest([*sorted(assets), *(pathlib.Path(lora) for lora in (args.style, args.lcm) if lora)])

    def prompts(self, repeat):
        path = self.work / f"prompts-{repeat}.txt"
        if not path.exists():
            views = make_reference.views(make_reference.PROMPT_SEED + 100 * (repeat + 1), self.args.pictures)
            path.write_text("".join(exact_caption(view) + "\n" for view in views))
        return path

    def run(self, label, words, repeat):
        """The report of sampling, with its metrics; pictures lie beside it."""
        name = "".join(c if c.isalnum() else "-" for c in label) + f".{repeat}"
        samples, report = self.work / f"{name}.npz", self.work / f"{name}.json"
        asked = [*self.options(words, repeat), *self.said(repeat)]
        if not report.exists():
            self.ask("sample", *asked, "-o", str(samples))
            measured = self.ask("eval", str(samples), "--prompts", str(self.prompts(repeat)), "--metrics", "fid,agreement",
                                "--threads", str(self.args.threads))
            report.write_text(json.dumps({"asked": asked, "weights": self.weights, **measured["metrics"]}))
        kept = json.loads(report.read_text())
        if (kept["asked"], kept["weights"]) != (asked, self.weights):
            raise SystemExit(f"{report} is of other settings or weights: expected another --work")
        return kept, samples

    def options(self, words, seed):
        common = {"--steps": str(self.args.steps), "--sampler": "dpm++2m", "--seed": str(seed), "--threads": str(self.args.threads)}
        return [*words, *(word for key, value in common.items() if key not in words for word in (key, value))]

    def said(self, repeat):
        return [f"--prompt={line}" for line in self.prompts(repeat).read_text().splitlines()]

    def seconds(self, words):
        """Of a picture, in the networks alone."""
        prompts = self.said(0)[:TIMED]
        report = self.ask("sample", *self.options(words, 0), *prompts, "-o", str(self.work / "timed.npz"))
        return sum(model["ms"] for model in report["models"]) / 1e3 / len(prompts)

    def ask(self, *words):
        done = subprocess.run([self.args.program, *words, "--json"], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    @torch.inference_mode()
    def compared(self, samples, reference):
        """Likeness and PSNR, means over the pictures."""
        (a, pixels), (b, others) = self.seen(samples), self.seen(reference)
        error = np.square(pixels.astype(np.float64) - others).mean(axis=(1, 2, 3)).clip(min=1e-3)
        return 100 * (a * b).sum(1).mean().item(), float((10 * np.log10(255**2 / error)).mean())

    def seen(self, samples):
        if samples not in self.embeddings:
            with np.load(samples) as file:
                self.pixels[samples] = file["arr_0"]
            tensor = torch.from_numpy(self.pixels[samples]).permute(0, 3, 1, 2).float()
            self.embeddings[samples] = torch.cat([self.model.embed_pictures(part) for part in tensor.split(64)])
        return self.embeddings[samples], self.pixels[samples]


@torch.inference_mode()
def seen_in(model, look):
    """Of true views of one emoji in that look: agreement, and the percentage whose name is among the nearest five."""
    views = [plain(view) for view in make_reference.views(DRAWN_SEED, DRAWN) if view.other is None]
    subjects = emoji.load()
    names = sorted({subject.name for subject in subjects})
    right = torch.tensor([names.index(subjects[view.emoji].name) for view in views])
    drawn = model.embed_pictures(127.5 * (pictures.to_tensor(views, look) + 1))
    texts = torch.cat([model.embed_prompts(names[i:i + 256]) for i in range(0, len(names), 256)])
    among_five = towers.ranks(drawn, texts, right) < 5
    return 100 * (drawn * texts[right]).sum(1).mean().item(), 100 * among_five.float().mean().item()


def spread(values, digits):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values) if len(values) > 1 else 0:.{digits}f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--work", required=True, help="folder of the results")
    parser.add_argument("--style", help="a LoRA of words-l, of train_style.py")
    parser.add_argument("--lcm", help="a LoRA of words-l, of train_lcm.py")
    parser.add_argument("--pictures", type=int, default=200, help="of each form and repeat; default %(default)s")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="that 0.2, 0.3 and 0.4 are whole steps of")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only", action="append", help="a group; repeat it for more. Default: all")
    args = parser.parse_args()
    bench, forms = Bench(args), groups(args)
    if unknown := set(args.only or []) - set(forms):
        parser.error(f"--only {', '.join(unknown)}, expected some of {', '.join(forms)}")
    forms = {group: each for group, each in forms.items() if group in (args.only or forms)}
    repeats = range(args.repeats)
    if args.style:
        for kind, look in (("true views", None), ("the same drawn", looks.outlined)):
            agreement, among_five = seen_in(bench.model, look)
            print(f"{kind}: agreement {agreement:.1f}, {among_five:.1f} % among five")
    results = {(group, label): [bench.run(label, words, r) for r in repeats]
               for group, each in forms.items() for label, words in each.items()}
    by_label = {"L": ["-m", L]} | {label: words for each in forms.values() for label, words in each.items()}
    rounds = [{label: bench.seconds(words) for label, words in by_label.items()} for _ in range(ROUNDS)]
    for group, each in forms.items():
        print(f"\n| {group} | s a picture | speed-up | FID | agreement | likeness | PSNR |\n|---|---|---|---|---|---|---|")
        first = results[group, next(iter(each))]
        for label in each:
            runs = results[group, label]
            takes = statistics.median(times[label] for times in rounds)
            faster = statistics.median(times["L"] / times[label] for times in rounds)
            likeness, psnr = zip(*(bench.compared(runs[r][1], first[r][1]) for r in repeats))
            same = label == next(iter(each))
            print(f"| {label} | {takes:.3f} | {faster:.2f} | {spread([run[0]['fid'] for run in runs], 1)} | "
                  f"{spread([run[0]['agreement'] for run in runs], 1)} | " + (" | |" if same else f"{spread(likeness, 1)} | {spread(psnr, 1)} |"))


if __name__ == "__main__":
    main()
