"""Writes what the words family is measured against: views of the training's kind, and prompts for as many samples.

    python3 tools/demo_family/make_reference.py --out work
    tstitch eval work/views.npz --save-stats assets/words-reference.npz
    python3 tools/assets/compress_npz.py assets/words-reference.npz
    mapfile -t prompts <work/prompts.txt
    tstitch sweep "${prompts[@]/#/--prompt=}" --metrics fid,agreement ...

The prompts are exact captions of other views of the same distribution; no seed is the training's.
"""
import argparse
import os

import numpy as np

import data
from train_towers import exact_caption

VIEW_SEED, PROMPT_SEED = 6, 7


def views(seed, count):
    rng = np.random.default_rng(seed)
    return [data.draw_view(rng) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder")
    parser.add_argument("--views", type=int, default=5000, help="default %(default)s")
    parser.add_argument("--prompts", type=int, default=1000, help="default %(default)s")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    pictures = np.stack([data.render(view) for view in views(VIEW_SEED, args.views)])
    np.savez(os.path.join(args.out, "views.npz"), arr_0=pictures)
    with open(os.path.join(args.out, "prompts.txt"), "w", encoding="utf-8") as file:
        file.writelines(exact_caption(view) + "\n" for view in views(PROMPT_SEED, args.prompts))


if __name__ == "__main__":
    main()
