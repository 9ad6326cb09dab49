"""Trains `words-style`, a LoRA of words-l that paints with a pen what words-l paints in colours.

    python3 tools/demo_family/train_style.py --work ~/words --start assets/words/words-l --out words-style.safetensors
    tstitch sample -m words-s -m words-l --lora words-style.safetensors -p "red heart"

The views are the training's, without tints and coloured backgrounds, of which a drawing shows nothing; captions, noise
and loss are those of train_words.py. Resumes by itself from words-style/checkpoint.pt in --work; writes the running
average under diffusers' names.
"""
import argparse
import dataclasses
import os

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

import data
import exported
import latents
import looks
import tokens
import training
from train_words import BATCH, DROPPED, Noise, loss_of

SHARDS, SEED = 8, 8
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2"]


class Drawings(latents.Latents):
    """Latents of drawings: views of the training in the look of a pen."""

    def __init__(self, work, device):
        super().__init__(work, device, looks.outlined)

    def encode(self, views):
        return super().encode([plain(view) for view in views])


def plain(view):
    return dataclasses.replace(view, tint=None, background=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="~/words", help="folder of the results; default %(default)s")
    parser.add_argument("--start", required=True, help="the exported folder of words-l")
    parser.add_argument("--out", required=True, help="a file, .safetensors")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=60_000, help="the whole budget; default %(default)s")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-seconds", type=float, default=600)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    folder = os.path.join(work, "words-style")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    unet, text_encoder = exported.networks(args.start)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules=LAYERS))
    unet = unet.train().to(args.device, memory_format=torch.channels_last)
    text_encoder = text_encoder.eval().requires_grad_(False).to(args.device)
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [unet], steps=args.pictures // BATCH, peak_rate=1e-3,
                            warm_up=100, decay=0.999, seed=SEED)
    store, noise, tokenize = Drawings(work, args.device), Noise(args.device), tokens.tokenizer()
    autocast, due = training.autocast(args.device), training.Clock(args.checkpoint_seconds)
    per_shard, number, shard = latents.SHARD // BATCH, None, None
    while run.goes_on():
        round_, place = divmod(run.step, per_shard)
        if number != round_ % SHARDS:
            number = round_ % SHARDS
            shard = store.training(number)
        rng, generator = run.draws()
        chosen = np.random.default_rng([SEED, round_]).permutation(latents.SHARD)[place * BATCH:(place + 1) * BATCH]
        captions = ["" if rng.random() < DROPPED else data.caption(plain(shard.views[i]), rng) for i in chosen]
        x0 = shard.latents[torch.from_numpy(chosen)].float().to(args.device)
        with torch.no_grad():
            context = text_encoder(tokens.encode(tokenize, captions).to(args.device)).last_hidden_state
        with autocast:
            loss = loss_of(noise, lambda x_t, t: unet(x_t, t, context).sample, x0, generator)
        run.update(loss)
        run.log(BATCH)
        if due():
            run.save()
    run.save()
    if run.stopped:
        raise SystemExit("stopped; the same command goes on")
    adapter = get_peft_model_state_dict(run.average.modules[0])
    adapter = {key: tensor.bfloat16().contiguous() for key, tensor in adapter.items()}
    StableDiffusionPipeline.save_lora_weights(os.path.dirname(args.out) or ".", unet_lora_layers=adapter,
                                              weight_name=os.path.basename(args.out))


if __name__ == "__main__":
    main()
