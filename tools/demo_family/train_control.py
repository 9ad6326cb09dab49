"""Trains a ControlNet that steers words-l by the edges of a picture.

    python3 tools/demo_family/train_control.py --work ~/words --start assets/words/words-l --out words-edges
    tstitch sample -m words-l -p "red heart" --control-net words-edges,image=photo.png,canny=100:200

Hints are the edges of the training's views as OpenCV's Canny finds them, which the program does as well; captions,
noise and loss are those of train_words.py. Resumes by itself from words-edges/checkpoint.pt in --work; writes the
running average as a folder of diffusers, bf16.
"""
import os

import torch
from diffusers import ControlNetModel

import exported
import looks
import pictures
import quick
import training
from latents import SHARDS, Draws, Latents
from train_words import BATCH, Captions, Noise, loss_of

SEED = 9


def hints_of(views):
    """(N, 3, SIDE, SIDE) of 0 and 1."""
    return (pictures.to_tensor(views, looks.edges) + 1) / 2


def main():
    args = training.parser_from_words_l(__doc__, out="folder", pictures=100_000, shards=SHARDS).parse_args()
    work = os.path.expanduser(args.work)
    folder = os.path.join(work, "words-edges")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    unet, text_encoder = exported.networks(args.start)
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64, 128))
    control = quick.place(control, args.device).train()
    unet = quick.place(unet, args.device).eval().requires_grad_(False)
    text_encoder = text_encoder.eval().requires_grad_(False).to(args.device)
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [control], steps=args.pictures // BATCH,
                            peak_rate=5e-4, warm_up=100, decay=0.999, seed=SEED)
    draws, captions = Draws(Latents(work, args.device), BATCH, SEED, args.shards), Captions(SEED)
    noise, autocast = Noise(args.device), training.autocast(args.device)

    def predict(x_t, t):
        down, middle = control(x_t, t, context, controlnet_cond=hints, return_dict=False)
        return unet(x_t, t, context, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample

    for step in run.steps_left(BATCH, args.checkpoint_seconds):
        x0, views = draws(step)
        x0, ids, hints = (each.to(args.device) for each in (x0, captions(step, views), hints_of(views)))
        with torch.no_grad():
            context = text_encoder(ids).last_hidden_state
        with autocast:
            loss = loss_of(noise, predict, x0, run.draws()[1])
        run.update(loss)
    run.average.modules[0].to(torch.bfloat16).save_pretrained(args.out)


if __name__ == "__main__":
    main()
