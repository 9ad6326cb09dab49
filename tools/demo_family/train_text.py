"""Trains the words family's text encoder to tell which caption belongs to which picture, before any U-Net reads it.

    python3 tools/demo_family/train_text.py --work ~/words

As CLIP's was (Radford et al., arXiv 2103.00020): a tower for pictures, here of their latents, and the text encoder are
drawn together for pairs and apart for others (InfoNCE over a batch, a learnt temperature). A U-Net that has to teach its
text encoder as well learns what captions mean many times later. Writes text/encoder.pt in --work, what train_words.py
then takes as it is.
"""
import argparse
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import checkpoint
import data
import models
import tokens
import training
from latents import Draws, Latents

BATCH, PEAK_RATE, WARM_UP, DECAY, WIDTH = 256, 1e-3, 100, 0.999, 64
END = 49407


class PictureTower(nn.Module):
    """(N, 4, 16, 16) to (N, WIDTH)."""

    def __init__(self):
        super().__init__()
        widths = (4, 64, 128, 192, 256)
        layers = []
        for before, after, stride in zip(widths, widths[1:], (1, 2, 2, 2)):
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(256 * 4, WIDTH)

    def forward(self, x):
        return self.out(self.layers(x).flatten(1))


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.text, self.picture = models.text_encoder(), PictureTower()
        self.of_text = nn.Linear(models.CONTEXT, WIDTH)
        self.temperature = nn.Parameter(torch.tensor(2.6))  # log(1 / 0.07)

    def forward(self, x, ids, places):
        """The similarities of all pictures (rows) and captions, which are read at the token of `places`."""
        hidden = self.text(ids).last_hidden_state
        words = self.of_text(hidden[torch.arange(len(ids)), places])
        return self.temperature.exp().clamp(max=100) * (
            F.normalize(self.picture(x), dim=1).float() @ F.normalize(words, dim=1).float().T)


def attention(device):
    """Plain products on a CPU: PyTorch's fused attention is slow backwards there (1.4 times the pictures without)."""
    return sdpa_kernel([SDPBackend.MATH] if device == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])


def said(view):
    """What a caption may tell of a view: pairs that agree in it are not told apart."""
    return view.emoji, view.other, view.tint, view.background


def kinds_of(views):
    """(N), the same number for those of which the same is said."""
    kinds = {}
    return torch.tensor([kinds.setdefault(said(view), len(kinds)) for view in views])


def ends_of(ids):
    """(N), where each caption ends."""
    return (ids == END).int().argmax(dim=1)


def batch_of(draws, step, tokenize):
    latents, views = draws(step)
    rng = np.random.default_rng([draws.seed, 0, step])
    ids = tokens.encode(tokenize, [data.caption(view, rng) for view in views])
    # At the end of the caption, or at one of the ends that pad it: a U-Net reads them all.
    places = [int(end) if rng.random() < 0.5 else int(rng.integers(end, tokens.LENGTH)) for end in ends_of(ids).numpy()]
    return latents, ids, torch.tensor(places), kinds_of(views)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="~/words", help="folder of the results; default %(default)s")
    parser.add_argument("--pictures", type=int, default=400_000, help="the whole budget; default %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    folder = os.path.join(work, "text")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    store, tokenize = Latents(work, args.device), tokens.tokenizer()
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [Towers().to(args.device)], steps=args.pictures // BATCH,
                            peak_rate=PEAK_RATE, warm_up=WARM_UP, decay=DECAY, seed=args.seed)
    draws, autocast = Draws(store, BATCH, args.seed), training.autocast(args.device)

    def similarities(module, x, ids, places, kind):
        with autocast, attention(args.device):
            found = module(x, ids, places)
        same = (kind[:, None] == kind) & ~torch.eye(len(kind), dtype=torch.bool, device=kind.device)
        return found.masked_fill(same, -1e4)

    @torch.no_grad()
    def keep():
        """How many captions of held-out views, of 128 each, are found by their pictures at once."""
        found = {}
        for split in ("known", "captions", "emoji"):
            shard, rng = store.held_out(split), np.random.default_rng(args.seed)
            ids = tokens.encode(tokenize, [data.caption(view, rng) for view in shard.views])
            given = (shard.latents.float(), ids, ends_of(ids), kinds_of(shard.views))
            best = similarities(run.average.modules[0], *(each.to(args.device) for each in given)).argmax(dim=1).cpu()
            found[split] = float((best == torch.arange(len(best))).float().mean())
        run.save()
        checkpoint.save(os.path.join(folder, "encoder.pt"),
                        {"text_encoder": run.average.modules[0].text.state_dict(), "found": found, "step": run.step})
        training.log(step=run.step, **{f"found_{split}": share for split, share in found.items()})

    for step in run.steps_left(BATCH, 300, keep):
        given = [each.to(args.device) for each in batch_of(draws, step, tokenize)]
        scores = similarities(run.modules[0], *given)
        target = torch.arange(BATCH, device=args.device)
        run.update((F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2)


if __name__ == "__main__":
    main()
