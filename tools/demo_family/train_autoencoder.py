"""Trains the family's autoencoder: 128 x 128 pictures of emoji to 16 x 16 x 4 latents and back.

    python3 tools/demo_family/train_autoencoder.py --work ~/words

Resumes by itself from autoencoder.pt in --work. Most steps see random crops, which are four times as many for the time;
the last ones whole pictures, as sampling does. At the end the average weights are written as a diffusers folder, f32,
with the scale of the latents: autoencoder. Once U-Nets have learnt its latents the encoder must stay as it is;
train_decoder.py trains the other half on.
"""
import argparse
import os

import numpy as np
import torch
from torch.nn import functional

import data
import models
import pictures
import training

BATCH, CROP, PEAK_RATE, WARM_UP, DECAY = 8, 64, 1e-3, 100, 0.998
KL_WEIGHT = 1e-6  # of the sum over a picture's latents
ANCHOR, ANCHORED = 2.0, 400  # weight of the anchor in the first step, step from which there is none
HELD_OUT_SEED, HELD_OUT = 1, 64  # pictures


def differences(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def picture_loss(y, x):
    """Absolute and squared error at three scales, and of the pixels' differences, which are what edges are. The
    absolute error alone is content with the commonest colours for long."""
    loss = sum(functional.l1_loss(a, b) for a, b in zip(differences(y), differences(x)))
    for _ in range(3):
        loss = loss + functional.l1_loss(y, x) + 4 * functional.mse_loss(y, x)
        y, x = functional.avg_pool2d(y, 2), functional.avg_pool2d(x, 2)
    return loss


def anchor_loss(mean, x):
    """How far three channels are from twice the mean colour under each latent pixel: the latents start as a thumbnail,
    which saves the many steps in which they would find the colours one by one."""
    return functional.mse_loss(mean[:, :3], 2 * functional.avg_pool2d(x, 8))


def crop(x, rng):
    top, left = rng.integers(0, data.SIDE - CROP + 1, 2)
    return x[..., top:top + CROP, left:left + CROP]


def loss_of(model, x, step, generator):
    posterior = model.encode(x).latent_dist
    y = model.decode(posterior.sample(generator)).sample
    anchor = ANCHOR * max(0, 1 - step / ANCHORED)
    return picture_loss(y, x) + KL_WEIGHT * posterior.kl().mean() + anchor * anchor_loss(posterior.mean, x)


@torch.no_grad()
def reconstruct(model, x):
    parts = x.to(model.device).split(16)
    return torch.cat([model.decode(model.encode(part).latent_dist.mean).sample for part in parts]).cpu()


def psnr(y, x):
    """Mean over the pictures, in dB, of [-1, 1] clamped as a PNG would."""
    mse = ((y.clamp(-1, 1) - x) / 2).square().mean(dim=(1, 2, 3)).clamp(min=1e-10)
    return (-10 * mse.log10()).mean().item()


def held_out_pictures(split):
    rng = np.random.default_rng(HELD_OUT_SEED)
    return pictures.to_tensor([data.draw_view(rng, split) for _ in range(HELD_OUT)])


@torch.no_grad()
def standardise(model, views=1024):
    """Gives the latents of training pictures a mean of zero, by the biases of the 1 x 1 convolutions around them, and
    notes their scale. Stable Diffusion's noisiest level still holds 7 % of a picture: a mean would be missing where
    sampling starts from noise."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    batches = [pictures.to_tensor([data.draw_view(rng) for _ in range(32)]) for _ in range(views // 32)]
    latents = torch.cat([model.encode(x.to(model.device)).latent_dist.mean for x in batches])
    mean = latents.mean(dim=(0, 2, 3))
    model.quant_conv.bias[:len(mean)].sub_(mean)
    model.post_quant_conv.bias.add_(model.post_quant_conv.weight[:, :, 0, 0] @ mean)
    model.register_to_config(scaling_factor=1 / (latents - mean.view(1, -1, 1, 1)).std().item())


class Report:
    """The quality of reconstructions of held-out pictures, as a line, and beside the originals to look at."""

    def __init__(self, grid):
        self.grid, self.sets = grid, {split: held_out_pictures(split) for split in ("known", "emoji")}

    def __call__(self, step, model):
        reconstructions = {split: reconstruct(model, x) for split, x in self.sets.items()}
        training.log(step=step, **{f"psnr_{split}": psnr(y, self.sets[split]) for split, y in reconstructions.items()})
        both = torch.stack([self.sets["emoji"], reconstructions["emoji"]], dim=1)[:24].flatten(0, 1)
        pictures.save_grid(self.grid, both, 8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="~/words", help="folder of the results; default %(default)s")
    parser.add_argument("--crop-steps", type=int, default=3900, help="default %(default)s")
    parser.add_argument("--whole-steps", type=int, default=600, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-seconds", type=float, default=300)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    os.makedirs(work, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    model = models.autoencoder().train().to(args.device, memory_format=torch.channels_last)
    run = training.Training(os.path.join(work, "autoencoder.pt"), [model], steps=args.crop_steps + args.whole_steps,
                            peak_rate=PEAK_RATE, warm_up=WARM_UP, decay=DECAY, seed=args.seed)
    average, = run.average.modules
    report = Report(os.path.join(work, "autoencoder.png"))

    def keep():
        run.save()
        report(run.step, average)

    for step in run.steps_left(BATCH, args.checkpoint_seconds, keep):
        rng, generator = run.draws()
        x = pictures.to_tensor([data.draw_view(rng) for _ in range(BATCH)]).to(args.device)
        if step < args.crop_steps:
            x = crop(x, rng)
        with training.autocast(args.device):
            loss = loss_of(model, x.contiguous(memory_format=torch.channels_last), step, generator)
        run.update(loss.float())
    standardise(average)
    average.save_pretrained(os.path.join(work, "autoencoder"))


if __name__ == "__main__":
    main()
