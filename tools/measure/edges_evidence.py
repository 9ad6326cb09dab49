"""How well pictures follow the edges they are shown: words-l with its ControlNet, alone and behind words-s.

    python3 tools/measure/edges_evidence.py build/release/apps/tstitch --work ~/edges

Each view of the training's kind gives a caption and, by Canny, edges to follow; all forms have the same noise. Printed:

precision   share of a picture's edges that lie within two pixels of one it was shown
recall      share of the edges shown that lie within two pixels of one of the picture
agreement   100 x cosine of picture and prompt, by the two towers of assets/words-features.safetensors

means and their standard errors over the views. Needs Noto Color Emoji, unicode-cldr-core and tools/requirements.txt.
What is done is kept in --work and not done again.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys

import cv2
import numpy as np
import torch
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools/demo_family"))
import data  # noqa: E402
import looks  # noqa: E402
import make_reference  # noqa: E402
import towers  # noqa: E402
from train_towers import exact_caption  # noqa: E402

SEED, NEAR = 2000, 2  # of the views; pixels
S, L = ["-m", "words-s"], ["-m", "words-l"]


def forms(net):
    """Words of the command line by label; `net` has the picture to follow."""
    control = ["--control-net", net]
    behind = {f"S to {ratio}, L with edges": [*S, *L, "--stage", f"share={ratio},control=none", "--stage", "cfg=7.5", *control]
              for ratio in (0.2, 0.4)}
    return {"L": L, "L with edges": [*L, *control], **behind}


def nearby(edges):
    return cv2.dilate(edges, np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8))


def share_of(edges, others):
    """Of the edges that lie near others; none where there are no edges."""
    return float((nearby(others)[edges > 0] > 0).mean()) if edges.any() else 0.0


def followed(picture, shown):
    """Precision and recall in percent."""
    made, wanted = (looks.edges(each)[..., 0] for each in (picture, shown))
    return 100 * share_of(made, wanted), 100 * share_of(wanted, made)


def spread(values):
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) / len(values) ** 0.5:.1f}"


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--work", required=True, help="folder of the results")
    parser.add_argument("--net", default=str(ROOT / "assets/words/words-edges"), help="default: the shipped one")
    parser.add_argument("--views", type=int, default=64, help="default %(default)s")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    work = pathlib.Path(args.work).expanduser()
    work.mkdir(parents=True, exist_ok=True)
    model = towers.load(str(ROOT / "assets/words-features.safetensors"))
    results = {}
    for i, view in enumerate(make_reference.views(SEED, args.views)):
        shown, caption, picture = data.render(view), exact_caption(view), work / f"{i}-shown.png"
        Image.fromarray(shown).save(picture)
        prompt = model.embed_prompts([caption])
        for label, words in forms(f"{args.net},image={picture},canny=100:200").items():
            out = work / f"{i}-{''.join(c if c.isalnum() else '-' for c in label)}.png"
            if not out.exists():
                subprocess.run([args.program, "sample", *words, f"--prompt={caption}", "--steps", "25", "--seed", str(i), "--threads",
                                str(args.threads), "--quiet", "-o", str(out)], check=True)
            made = np.asarray(Image.open(out).convert("RGB"))
            seen = model.embed_pictures(torch.from_numpy(made.copy()).permute(2, 0, 1)[None].float())
            results.setdefault(label, []).append((*followed(made, shown), 100 * (seen @ prompt.T).item()))
    print("| edges to follow | precision | recall | agreement |\n|---|---|---|---|")
    for label, rows in results.items():
        print(f"| {label} | {' | '.join(spread(column) for column in zip(*rows))} |")


if __name__ == "__main__":
    main()
