"""Trains the two towers that measure the words family (assets/words-features.safetensors), on a CPU.

    python3 tools/demo_family/train_towers.py --work ~/words --out assets/words-features.safetensors

Each picture must find its caption among those of its batch, the names of other emoji, and captions that are wrong in a
colour; each caption its picture. Pictures of the training's views alone, some of them blurred or noisy as sampled ones
are. Batch norms while training, folded in the file. Resumes by itself from towers/checkpoint.pt in --work. Writes the
last step's weights, whatever the held-out pairs say, and how good these are: the share of pictures whose caption is the
nearest, or among the nearest five, of all names and all captions asked.
"""
import argparse
import dataclasses
import json
import math
import os
import pathlib
import sys

import numpy as np
import torch
from torch.nn import functional as F

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "train"))
import colours
import data
import emoji
import towers
import training
from train_demo_classifier import Trained

BATCH, NAMES = 256, 400  # NAMES: of emoji that a step contrasts with
TRAINING_SEED, HELD_OUT_SEED = 4, 5
HELD_OUT = 512  # pairs of each split


def subjects(view):
    return {view.emoji, view.other} - {None}


def exact_caption(view):
    """Of what a caption can say its surest: names, tint, background."""
    name = emoji.load()[view.emoji].name
    if view.tint:
        name = colours.named(name, view.tint)
    elif view.other is not None:
        name = f"{name} and {emoji.load()[view.other].name}"
    return colours.on_background(name, view.background) if view.background else name


def wrong_caption(view, rng):
    """One that names another tint or background than there is."""
    kind, known = ("tint", colours.HUES) if view.tint and rng.random() < 0.7 else ("background", colours.BACKGROUNDS)
    others = [colour for colour in known if colour != getattr(view, kind)]
    return exact_caption(dataclasses.replace(view, **{kind: str(rng.choice(others))}))


def degraded(x, generator):
    """Pixels (N, 3, H, W), 0 ... 255: a third blurred, a third noisy, in place."""
    blurred, noisy, _ = x.tensor_split(3)
    blurred.copy_(F.interpolate(F.avg_pool2d(blurred, 2), scale_factor=2, mode="bilinear"))
    noisy += 8 * torch.rand(len(noisy), 1, 1, 1, generator=generator) * torch.randn(noisy.shape, generator=generator)
    return x


def pixels_of(views):
    return torch.from_numpy(np.stack([data.render(view) for view in views])).permute(0, 3, 1, 2).float()


class Batches:
    """Of any step: pixels, prompts (the captions first), and which of them (BATCH, prompts) may be true beside a
    picture's own."""

    def __init__(self, seed):
        self.seed = seed
        self.known = np.array([i for i in range(len(emoji.load())) if not data.is_held_out_emoji(i)])

    def __call__(self, step):
        rng, generator = np.random.default_rng([self.seed, step]), torch.Generator().manual_seed(self.seed << 32 | step)
        views = [data.draw_view(rng) for _ in range(BATCH)]
        names = [int(i) for i in rng.choice(self.known, NAMES, replace=False)]
        prompts = ([data.caption(view, rng) for view in views] + [wrong_caption(view, rng) for view in views]
                   + [emoji.load()[i].name for i in names])
        shown = [subjects(view) for view in views]
        alike = torch.tensor([[bool(a & b) for b in shown] for a in shown]) & ~torch.eye(BATCH, dtype=torch.bool)
        named = torch.tensor([[name in a for name in names] for a in shown])
        return degraded(pixels_of(views), generator), prompts, torch.cat([alike, alike, named], dim=1)


def loss_of(pictures, prompts, maybe, scale):
    near = (scale * pictures @ prompts.T).masked_fill(maybe, -math.inf)  # (B, captions and others)
    right = torch.arange(len(pictures))
    return (F.cross_entropy(near, right) + F.cross_entropy(near[:, :len(pictures)].T, right)) / 2


@torch.inference_mode()
def held_out(model):
    """Of each split: the share whose caption is the nearest, among the nearest five, of how many; the mean cosine."""
    found, names = {}, [subject.name for subject in emoji.load()]
    for split in ("known", "captions", "emoji"):
        rng = np.random.default_rng([HELD_OUT_SEED])
        views = [data.draw_view(rng, split) for _ in range(HELD_OUT)]
        captions = [exact_caption(view) for view in views]
        prompts = sorted({*names, *captions})
        pictures = torch.cat([model.embed_pictures(pixels_of(views[i:i + 64])) for i in range(0, HELD_OUT, 64)])
        texts = torch.cat([model.embed_prompts(prompts[i:i + 256]) for i in range(0, len(prompts), 256)])
        place = {prompt: i for i, prompt in enumerate(prompts)}
        right = torch.tensor([place[caption] for caption in captions])
        rank = towers.ranks(pictures, texts, right)
        found[split] = dict(top1=(rank < 1).float().mean().item(), top5=(rank < 5).float().mean().item(),
                            among=len(prompts), cosine=(pictures * texts[right]).sum(dim=1).mean().item())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="~/words", help="folder of the checkpoint; default %(default)s")
    parser.add_argument("--out", required=True, help="a file, .safetensors")
    parser.add_argument("--pictures", type=int, default=300_000, help="the whole budget; default %(default)s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-seconds", type=float, default=60)
    args = parser.parse_args()
    folder = os.path.join(os.path.expanduser(args.work), "towers")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = towers.Towers(towers.known_tokens())
    trained = Trained(model.picture).to(memory_format=torch.channels_last).train()
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [model, trained.norms],
                            steps=args.pictures // BATCH, peak_rate=2e-3, warm_up=100, decay=0.999, seed=TRAINING_SEED)
    batches, autocast = Batches(TRAINING_SEED), training.autocast("cpu")
    for step in run.steps_left(BATCH, args.checkpoint_seconds, every=20):
        pixels, prompts, maybe = batches(step)
        with autocast:
            pictures = trained(pixels.contiguous(memory_format=torch.channels_last)).float()
            texts = model.embed_prompts(prompts)
        run.update(loss_of(F.normalize(pictures, dim=-1), texts, maybe, model.scale.exp().clamp(max=100)))
    towers.save(args.out, model, trained.folded())
    measured = held_out(towers.load(args.out))
    print(json.dumps({"held_out": measured, "bytes": os.path.getsize(args.out)}))


if __name__ == "__main__":
    main()
