"""Writes full-size DiT and autoencoder checkpoints of random weights in the formats that people download, to try the program on.

    python3 tools/measure/make_checkpoints.py work/checkpoints

  DiT-XL-2-256x256.pt   a plain state dict, f32, as facebookresearch/DiT publishes it (2.7 GB)
  dit_s_256.pt          {"model", "ema", "opt", "args"}, as its train.py saves and T-Stitch's small models may come (0.3 GB)
  sd-vae-ft-mse/        AutoencoderKL as diffusers saves it (0.3 GB)
"""
import argparse
import os
import sys

import torch
from diffusers import AutoencoderKL

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from dit import DiT, official


def random_dit(name):
    model = DiT(official(name, 32))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def state_of(model):
    """Official files hold the position table among the parameters."""
    return {"pos_embed": model.pos_embed.reshape(1, *model.pos_embed.shape[-2:])} | model.state_dict()


def main(folder):
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    torch.save(state_of(random_dit("XL/2")), os.path.join(folder, "DiT-XL-2-256x256.pt"))

    model = random_dit("S/2")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0)
    model.t_embedder.mlp[0].weight.sum().backward()
    optimiser.step()
    ema = {name: 0.999 * tensor for name, tensor in state_of(model).items()}
    torch.save({"model": state_of(model), "ema": ema, "opt": optimiser.state_dict(),
                "args": argparse.Namespace(model="DiT-S/2", image_size=256)}, os.path.join(folder, "dit_s_256.pt"))

    AutoencoderKL(block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
                  up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4,
                  sample_size=256).save_pretrained(os.path.join(folder, "sd-vae-ft-mse"))


if __name__ == "__main__":
    main(*sys.argv[1:])
