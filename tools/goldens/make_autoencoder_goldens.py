"""Writes tests/golden/autoencoder: what PyTorch answers for small autoencoders with random_weights.py's weights.

    python3 tools/goldens/make_autoencoder_goldens.py

Everything is f32 on the CPU, seed 7. The names of the first latent diffusion models are checked with diffusers' own
converter, the tiny autoencoder with diffusers' AutoencoderTiny; a disagreement writes nothing.
"""
import json
import os
import sys

import numpy as np
import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import autoencoders
import random_weights

SEED = 7
FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "autoencoder")
CASES = {
    "kl": dict(latent_channels=4, block_out_channels=[32, 64], layers_per_block=1, norm_num_groups=32),
    "kl-attention": dict(latent_channels=16, block_out_channels=[8, 16, 16], layers_per_block=2, norm_num_groups=4, attention_levels=[1],
                         use_quant_conv=False, use_post_quant_conv=False),
}
VQ = dict(latent_channels=4, block_out_channels=[16, 32], layers_per_block=1, norm_num_groups=8, attention_levels=[1], codebook_size=97)
TINY = dict(width=12, channels=4)


def uniform(name, shape):
    return torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), SEED))


def save(name, tensor):
    np.save(os.path.join(FOLDER, name + ".npy"), tensor.numpy().astype(np.float32))


@torch.no_grad()
def main():
    os.makedirs(FOLDER, exist_ok=True)
    for tag, config in CASES.items():
        model = autoencoders.kl(tag, **config)
        factor = 2 ** (len(config["block_out_channels"]) - 1)
        z = uniform("z", (2, config["latent_channels"], 5, 6))
        posterior = model.encode(uniform("picture", (2, 3, 4 * factor, 3 * factor))).latent_dist
        save(tag + "_decode", model.decode(z).sample)
        save(tag + "_mean", posterior.mean)
        save(tag + "_log_variance", posterior.logvar)

    model = autoencoders.vq("vq", **VQ)
    save("vq_decode", model.decode(uniform("z", (2, 4, 5, 6))).sample)
    save("vq_mean", model.encode(uniform("picture", (2, 3, 8, 6))).latents)

    # The same tensors under their first names, attention as 1 x 1 convolutions.
    model, levels = autoencoders.kl("kl", **CASES["kl"]), len(CASES["kl"]["block_out_channels"])
    names, old = {}, {}
    for name, tensor in model.state_dict().items():
        stored = autoencoders.compvis_name(name, levels)
        shape = list(tensor.shape)
        if ".attentions." in name and len(shape) == 2:
            shape += [1, 1]
        names[stored] = [name, shape]
        old["first_stage_model." + stored] = tensor.reshape(shape)
    back = convert_ldm_vae_checkpoint(old, dict(down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels))
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert all(torch.equal(v, back[k]) for k, v in model.state_dict().items())
    with open(os.path.join(FOLDER, "compvis_names.json"), "w") as file:
        file.write("{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in names.items()) + "}\n")

    encoder, decoder = autoencoders.tiny(**TINY)
    random_weights.fill(encoder, "tiny", SEED), random_weights.fill(decoder, "tiny", SEED)
    z, picture = uniform("z", (2, 4, 3, 5)), uniform("picture", (2, 3, 24, 16))
    decoded, encoded = decoder(z) * 2 - 1, encoder(picture / 2 + 0.5)
    twin = autoencoders.as_diffusers(encoder, decoder, **TINY)
    for ours, theirs in ((decoded, twin.decode(z).sample), (encoded, twin.encode(picture).latents)):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    save("tiny_decode", decoded)
    save("tiny_encode", encoded)


main()
