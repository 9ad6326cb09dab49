"""Trains the decoder of the family's autoencoder on: the same latents, sharper pictures.

    python3 tools/demo_family/train_decoder.py --work ~/words

Once U-Nets have learnt its latents the encoder must stay as it is; the decoder need not. It learns from whole pictures
and the latents that train_words.py keeps of them, with a little noise, as latents that are painted are never quite
right. Resumes by itself from decoder.pt in --work; at the end the average weights, with the encoder as it was, are
written as the diffusers folder decoder.
"""
import argparse
import os

import torch

import latents
import pictures
import quick
import training
from train_autoencoder import Report, picture_loss

BATCH, PEAK_RATE, WARM_UP, DECAY, SEED = 8, 1e-3, 100, 0.998, 9
NOISE = 0.1  # standard deviation at most, of latents of unit scale


def noisy(x0, generator):
    level = NOISE * torch.rand(len(x0), 1, 1, 1, generator=generator)
    return x0 + level * torch.randn(x0.shape, generator=generator)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="~/words", help="folder of the results; default %(default)s")
    parser.add_argument("--pictures", type=int, default=18_000, help="the whole budget; default %(default)s")
    parser.add_argument("--shards", type=int, default=12, help="of 2,048 views, each made once; default %(default)s")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-seconds", type=float, default=300)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    torch.manual_seed(SEED)

    store = latents.Latents(work, args.device)
    model = quick.place(store.autoencoder, args.device).train()
    for part in (model.encoder, model.quant_conv):
        part.requires_grad_(False)
    run = training.Training(os.path.join(work, "decoder.pt"), [model], steps=args.pictures // BATCH,
                            peak_rate=PEAK_RATE, warm_up=WARM_UP, decay=DECAY, seed=SEED)
    draws, report = latents.Draws(store, BATCH, SEED, args.shards), Report(os.path.join(work, "decoder.png"))
    autocast, average = training.autocast(args.device), run.average.modules[0]

    def keep():
        run.save()
        report(run.step, average)

    for step in run.steps_left(BATCH, args.checkpoint_seconds, keep):
        x0, views = draws(step)
        _, generator = run.draws()
        z = noisy(x0, generator).to(args.device) / model.config.scaling_factor
        with autocast:
            y = model.decode(z).sample
        run.update(picture_loss(y.float(), pictures.to_tensor(views).to(args.device)))
    average.save_pretrained(os.path.join(work, "decoder"))


if __name__ == "__main__":
    main()
