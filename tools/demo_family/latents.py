"""Views as latents, encoded once and kept: shards of views whose captions are drawn anew at each use.

A shard is a pure function of its number (and of the autoencoder), so it can be made when it is first needed.
"""
import dataclasses
import json
import os

import numpy as np
import torch
from diffusers import AutoencoderKL

import checkpoint
import data
import pictures
import training

SHARD, SHARDS = 2048, 32  # views of one, how many
TRAINING_SEED, HELD_OUT_SEED = 2, 3
HELD_OUT = 128  # views of each split


@dataclasses.dataclass(frozen=True)
class Shard:
    latents: torch.Tensor  # (N, 4, 16, 16) f16, of unit scale
    views: list[data.View]


class Draws:
    """What any step of a training sees: latents (batch, 4, 16, 16) and their views. Each round over a shard has an order of
    its own."""

    def __init__(self, store, batch, seed, shards=SHARDS):
        self.store, self.batch, self.seed, self.shards = store, batch, seed, shards
        self.number, self.shard = None, None

    def __call__(self, step):
        round_, place = divmod(step, SHARD // self.batch)
        if self.number != round_ % self.shards:
            self.number = round_ % self.shards
            self.shard = self.store.training(self.number)
        order = np.random.default_rng([self.seed, round_]).permutation(SHARD)
        chosen = order[place * self.batch:(place + 1) * self.batch]
        return self.shard.latents[torch.from_numpy(chosen)].float(), [self.shard.views[i] for i in chosen]


class Latents:
    """look: makes pictures of another look of the rendered ones; those latents have a folder of their own."""

    def __init__(self, work, device, look=None):
        self.look = look
        self.folder = os.path.join(work, f"latents-{look.__name__}" if look else "latents")
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(work, "autoencoder")
        self.autoencoder = AutoencoderKL.from_pretrained(path, low_cpu_mem_usage=False).eval()
        self.autoencoder.to(device, memory_format=torch.channels_last)

    def training(self, number):
        return self.shard(f"{number:03}", SHARD, "known", [TRAINING_SEED, number])

    def held_out(self, split):
        return self.shard(f"held_out_{split}", HELD_OUT, split, [HELD_OUT_SEED])

    def shard(self, name, count, split, seed):
        path = os.path.join(self.folder, f"{name}.npz")
        if not os.path.exists(path):
            rng = np.random.default_rng(seed)
            views = [data.draw_view(rng, split) for _ in range(count)]
            text = json.dumps([dataclasses.astuple(view) for view in views])
            latents = self.encode(views).numpy()
            with checkpoint.whole_file(path) as file:
                np.savez(file, latents=latents, views=text)
        with np.load(path) as file:
            views = [data.View(*fields) for fields in json.loads(str(file["views"]))]
            return Shard(torch.from_numpy(file["latents"]), views)

    @torch.no_grad()
    def encode(self, views):
        scale, device = self.autoencoder.config.scaling_factor, self.autoencoder.device
        parts = [pictures.to_tensor(views[i:i + 32], self.look).to(device) for i in range(0, len(views), 32)]
        with training.autocast(device.type):
            means = [self.autoencoder.encode(part).latent_dist.mean for part in parts]
        return torch.cat([(scale * mean.float()).half().cpu() for mean in means])

    @torch.no_grad()
    def decode(self, latents):
        """(N, 4, 16, 16) of unit scale to (N, 3, 128, 128) in [-1, 1]."""
        return self.autoencoder.decode(latents / self.autoencoder.config.scaling_factor).sample.cpu()

