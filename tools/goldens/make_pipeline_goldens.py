"""Writes tests/golden/dit_pipeline: a tiny DiTPipeline as diffusers saves it, and what it answers.

    python3 tools/goldens/make_pipeline_goldens.py

Random weights, so only the layout and the arithmetic are tested. The folder has shards, a scheduler, an autoencoder and class
names. Two departures of diffusers from the published DiT are undone before the golden is computed, as the engine does
(tstitch/zoo/diffusers_dit.h).
"""
import json
import os
import shutil

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "dit_pipeline")


def build():
    torch.manual_seed(5)
    transformer = DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2,
                                        sample_size=8, patch_size=2, num_embeds_ada_norm=3)
    vae = AutoencoderKL(block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                        layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=16)
    first = transformer.transformer_blocks[0].norm1.emb
    for name, parameter in transformer.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if parameter.dim() > 1 else 0.05)
    for block in transformer.transformer_blocks[1:]:
        block.norm1.emb.load_state_dict(first.state_dict())  # copies of one embedder, as in the published file
    scheduler = DDIMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=False)
    return DiTPipeline(transformer.eval(), vae.eval(), scheduler)


def published(transformer):
    for block in transformer.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
        block.norm3.eps = 1e-6
    return transformer


@torch.inference_mode()
def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    pipeline = build()
    pipeline.save_pretrained(FOLDER, max_shard_size="40KB")
    index = os.path.join(FOLDER, "model_index.json")
    with open(index) as file:
        content = json.load(file) | {"id2label": {"0": "tench, Tinca tinca", "1": "goldfish", "2": "crane"}}  # as published
    with open(index, "w") as file:
        json.dump(content, file, indent=2)
    for folder, _, names in os.walk(FOLDER):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    out = published(pipeline.transformer)(x, timestep=torch.tensor([501, 501]), class_labels=torch.tensor([2, 3])).sample
    image = pipeline.vae.decode(x / pipeline.vae.config.scaling_factor).sample
    for name, tensor in dict(x=x, forward=out, decoded=image).items():
        np.save(os.path.join(FOLDER, name + ".npy"), tensor.numpy())


if __name__ == "__main__":
    main()
