"""Trains `words-style`, a LoRA of words-l that paints with a pen what words-l paints in colours.

    python3 tools/demo_family/train_style.py --work ~/words --start assets/words/words-l --out words-style.safetensors
    tstitch sample -m words-s -m words-l --lora words-style.safetensors -p "red heart"

The views are the training's, without tints and coloured backgrounds, of which a drawing shows nothing; captions, noise
and loss are those of train_words.py. Resumes by itself from words-style/checkpoint.pt in --work; writes the running
average under diffusers' names.
"""
import dataclasses
import os

import torch

import exported
import latents
import looks
import lora
import quick
import training
from train_words import BATCH, Captions, Noise, loss_of

SEED = 8


class Drawings(latents.Latents):
    """Latents of drawings: views of the training in the look of a pen."""

    def __init__(self, work, device):
        super().__init__(work, device, looks.outlined)

    def encode(self, views):
        return super().encode([plain(view) for view in views])


def plain(view):
    return dataclasses.replace(view, tint=None, background=None)


def main():
    parser = training.parser_from_words_l(__doc__, out="a file, .safetensors", pictures=60_000, shards=8)
    parser.add_argument("--rank", type=int, default=8)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    folder = os.path.join(work, "words-style")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    unet, text_encoder = exported.networks(args.start)
    unet = quick.place(lora.add(unet, args.rank), args.device).train()
    text_encoder = text_encoder.eval().requires_grad_(False).to(args.device)
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [unet], steps=args.pictures // BATCH, peak_rate=1e-3,
                            warm_up=100, decay=0.999, seed=SEED)
    draws, captions = latents.Draws(Drawings(work, args.device), BATCH, SEED, args.shards), Captions(SEED)
    noise, autocast = Noise(args.device), training.autocast(args.device)
    for step in run.steps_left(BATCH, args.checkpoint_seconds):
        x0, views = draws(step)
        x0, ids = x0.to(args.device), captions(step, [plain(view) for view in views]).to(args.device)
        _, generator = run.draws()
        with torch.no_grad():
            context = text_encoder(ids).last_hidden_state
        with autocast:
            loss = loss_of(noise, lambda x_t, t: unet(x_t, t, context).sample, x0, generator)
        run.update(loss)
    lora.write(run.average.modules[0], args.out)


if __name__ == "__main__":
    main()
