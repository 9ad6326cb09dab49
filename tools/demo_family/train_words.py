"""Trains a U-Net of the words family, which reads the text encoder of train_text.py.

    python3 tools/demo_family/train_words.py --model l --work ~/words
    python3 tools/demo_family/train_words.py --model s --work ~/words

Stable Diffusion 1's noise and loss (squared error on eps), weighted by min-SNR (Hang et al., arXiv 2303.09556). One
caption in ten is dropped to "". Resumes by itself from words-l/checkpoint.pt in --work; words-l/best.pt holds the
average weights of the lowest held-out loss. A grid of samples is written now and then, to look at.

--start goes on from exported weights where the checkpoint with its optimiser is not at hand:

    python3 tools/demo_family/train_words.py --model l --work ~/more --start assets/words/words-l --peak-rate 5e-4
"""
import argparse
import os

import numpy as np
import torch

import checkpoint
import data
import exported
import models
import paint
import pictures
import quick
import tokens
import training
from latents import SHARDS, Draws, Latents

BATCH, DROPPED, GAMMA = 32, 0.1, 5.0
WARM_UP = 300  # in steps
DECAY = 0.9995  # of the average weights; a short run's average spans its last sixth
SPLITS = ("known", "captions", "emoji")
JUDGED = ("known", "captions")  # what "best" means: an unseen emoji is a guess


class Noise:
    """x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps"""

    def __init__(self, device):
        self.abar = models.scheduler().alphas_cumprod.to(device)

    def add(self, x0, eps, t):
        abar = self.abar[t].view(-1, 1, 1, 1)
        return abar.sqrt() * x0 + (1 - abar).sqrt() * eps

    def weight(self, t):
        snr = self.abar[t] / (1 - self.abar[t])
        return snr.clamp(max=GAMMA) / snr


class Captions:
    """The token ids (N, 77) of captions of a step's views, drawn from the seed and the step."""

    def __init__(self, seed):
        self.seed, self.tokenize = seed, tokens.tokenizer()

    def __call__(self, step, views):
        rng = np.random.default_rng([self.seed, 0, step])
        captions = ["" if rng.random() < DROPPED else data.caption(view, rng) for view in views]
        return tokens.encode(self.tokenize, captions)


class HeldOut:
    """The squared error on eps of each split's views, at fixed levels with fixed noise."""

    def __init__(self, store, tokenize, noise, device):
        self.noise, self.sets = noise, {}
        for split in SPLITS:
            shard, rng, generator = store.held_out(split), np.random.default_rng(0), torch.Generator().manual_seed(0)
            x0, N = shard.latents.float(), len(shard.views)
            ids = tokens.encode(tokenize, [data.caption(view, rng) for view in shard.views])
            t = ((torch.arange(N) + 0.5) / N * 1000).long()
            eps = torch.randn(x0.shape, generator=generator)
            self.sets[split] = [tensor.to(device) for tensor in (x0, ids, t, eps)]

    def __call__(self, unet, text_encoder):
        return {split: self.error(unet, text_encoder, *tensors) for split, tensors in self.sets.items()}

    @torch.no_grad()
    def error(self, unet, text_encoder, *tensors):
        errors = []
        for x0, ids, t, eps in zip(*(tensor.split(BATCH) for tensor in tensors)):
            predicted = unet(self.noise.add(x0, eps, t), t, text_encoder(ids).last_hidden_state).sample
            errors.append((predicted - eps).square().mean().item())
        return sum(errors) / len(errors)


def loss_of(noise, predict, x0, generator):
    """The weighted squared error on eps at random levels; predict(x_t, t) says eps."""
    t = torch.randint(1000, (len(x0),), generator=generator).to(x0.device)
    eps = torch.randn(x0.shape, generator=generator).to(x0.device)
    x_t = noise.add(x0, eps, t).contiguous(memory_format=torch.channels_last)
    error = (predict(x_t, t).float() - eps).square().mean(dim=(1, 2, 3))
    return (noise.weight(t) * error).mean()


def networks(size, work, start, device):
    """The U-Net, which learns, and the text encoder, which does not; as the folder `start` has them, or else a new U-Net and
    what train_text.py made."""
    if start:
        unet, text_encoder = exported.networks(start)
    else:
        trained = checkpoint.load(os.path.join(work, "text", "encoder.pt"))
        if trained is None:
            raise SystemExit(f"no text encoder in {work}: train_text.py makes it")
        unet, text_encoder = models.unet(size), models.text_encoder()
        text_encoder.load_state_dict(trained["text_encoder"])
    return quick.place(unet, device).train(), text_encoder.eval().requires_grad_(False).to(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=models.UNETS, required=True)
    parser.add_argument("--work", default="~/words", help="folder of the results; default %(default)s")
    parser.add_argument("--pictures", type=int, default=2_000_000, help="the whole budget; default %(default)s")
    parser.add_argument("--shards", type=int, default=SHARDS, help="of 2,048 views, each made once; default %(default)s")
    parser.add_argument("--start", metavar="FOLDER", help="exported weights to go on from; default: none")
    parser.add_argument("--peak-rate", type=float, default=1e-3, help="of AdamW; default %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-seconds", type=float, default=600)
    parser.add_argument("--grid-seconds", type=float, default=1800)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    folder, grids = os.path.join(work, f"words-{args.model}"), os.path.join(work, "grids")
    for each in (folder, grids):
        os.makedirs(each, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    unet, text_encoder = networks(args.model, work, args.start, args.device)
    steps = args.pictures // BATCH
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [unet], steps=steps, peak_rate=args.peak_rate,
                            warm_up=WARM_UP, decay=min(DECAY, 1 - 6 / steps), seed=args.seed)
    averages = [*run.average.modules, text_encoder]
    store, noise = Latents(work, args.device), Noise(args.device)
    draws, captions = Draws(store, BATCH, args.seed, args.shards), Captions(args.seed)
    held_out = HeldOut(store, captions.tokenize, noise, args.device)
    autocast, grid_due = training.autocast(args.device), training.Clock(args.grid_seconds)

    def keep():
        errors = held_out(*averages)
        judged = sum(errors[split] for split in JUDGED) / len(JUDGED)
        if judged < run.best:
            run.best = judged
            weights = {part: module.state_dict() for part, module in zip(("unet", "text_encoder"), averages)}
            checkpoint.save(os.path.join(folder, "best.pt"), dict(weights, step=run.step, held_out=errors))
        run.save()
        training.log(step=run.step, **{f"held_out_{split}": error for split, error in errors.items()}, best=run.best)

    def draw_grid():
        latents = paint.paint(*averages, captions.tokenize, paint.KNOWN + paint.UNSEEN)
        pictures.save_grid(os.path.join(grids, f"words-{args.model}-{run.step:06}.png"), store.decode(latents), 8)

    if args.start and run.step == 0:
        keep()  # what it goes on from is the first to beat
    for step in run.steps_left(BATCH, args.checkpoint_seconds, keep):
        x0, views = draws(step)
        x0, ids = x0.to(args.device), captions(step, views).to(args.device)
        _, generator = run.draws()
        with autocast:
            context = text_encoder(ids).last_hidden_state
            loss = loss_of(noise, lambda x_t, t: unet(x_t, t, context).sample, x0, generator)
        run.update(loss)
        if grid_due():
            draw_grid()
    draw_grid()


if __name__ == "__main__":
    main()
