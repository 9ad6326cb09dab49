"""Samples every class with demo models and draws them as one PNG, to look at: a row per image, a column per class.

    python3 tools/train/sample_grid.py assets/fashion-l.safetensors grid.png
    python3 tools/train/sample_grid.py --ratio 0.4 assets/fashion-s.safetensors assets/fashion-l.safetensors grid.png
"""
import argparse
import os
import sys

import torch
from PIL import Image

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import switch_rules
from demo_files import load_model
from diffusion import Schedule, sample

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="one model, or a small and a large one")
    parser.add_argument("png")
    parser.add_argument("--ratio", type=float, default=0.5, help="share of the steps for the first of two models")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--steps", default="50")
    parser.add_argument("--cfg", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)

    models = [load_model(path) for path in args.models]
    classes = torch.arange(10).repeat(args.rows)
    x = torch.randn(len(classes), 1, 28, 28, generator=torch.Generator().manual_seed(args.seed))
    final = sample(lambda t: models[0] if len(models) == 1 or switch_rules.dit(t, args.ratio) else models[1],
                   Schedule.linear().respaced(args.steps), x, classes, cfg=args.cfg, channels=1)
    pixels = (127.5 * final + 128).clamp(0, 255).byte().view(args.rows, 10, 28, 28)
    grid = pixels.permute(0, 2, 1, 3).reshape(args.rows * 28, 280)
    Image.fromarray(grid.numpy()).resize((280 * 3, args.rows * 84), Image.NEAREST).save(args.png)
