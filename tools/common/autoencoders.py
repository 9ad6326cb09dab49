"""Autoencoders with random_weights.py's weights: diffusers', and the tiny one written from its description."""
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, VQModel
from torch import nn

import random_weights


def kl(tag, **config):
    """diffusers' AutoencoderKL; `attention_levels` as in tstitch's configuration."""
    return random_weights.fill(AutoencoderKL(in_channels=3, out_channels=3, act_fn="silu", **with_block_types(config)), tag)


def vq(tag, **config):
    """diffusers' VQModel, the same network with a codebook; its latents are not scaled."""
    config = with_block_types(config)
    config.update(num_vq_embeddings=config.pop("codebook_size"), mid_block_add_attention=True)
    return random_weights.fill(VQModel(in_channels=3, out_channels=3, act_fn="silu", **config), tag)


def with_block_types(config):
    config = dict(config)
    levels = len(config["block_out_channels"])
    attention = config.pop("attention_levels", ())
    config["down_block_types"] = ["AttnDownEncoderBlock2D" if i in attention else "DownEncoderBlock2D" for i in range(levels)]
    config["up_block_types"] = ["AttnUpDecoderBlock2D" if i in attention else "UpDecoderBlock2D" for i in reversed(range(levels))]
    return config


SD = dict(latent_channels=4, block_out_channels=[128, 256, 512, 512], layers_per_block=2, norm_num_groups=32)


def compvis_name(name, levels):
    """The name that the first latent diffusion models gave a tensor of AutoencoderKL."""
    parts = name.split(".")
    if parts[0] in ("encoder", "decoder"):
        out, rest = [parts[0]], parts[1:]
        if rest[0] == "mid_block":
            out += ["mid", f"block_{int(rest[2]) + 1}" if rest[1] == "resnets" else "attn_1"]
            rest = rest[3:]
        elif rest[0] in ("down_blocks", "up_blocks"):
            level = int(rest[1])
            out += ["down", str(level)] if rest[0] == "down_blocks" else ["up", str(levels - 1 - level)]
            out += {"resnets": ["block", rest[3]], "attentions": ["attn", rest[3]], "downsamplers": ["downsample"],
                    "upsamplers": ["upsample"]}[rest[2]]
            rest = rest[4:]
        if rest[0] == "to_out":
            rest = ["proj_out"] + rest[2:]
        names = {"conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v"}
        return ".".join(out + [names.get(part, part) for part in rest])
    return name


class TinyBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        conv = lambda: nn.Conv2d(width, width, 3, padding=1)
        self.conv = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())

    def forward(self, x):
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    def forward(self, x):
        return 3 * torch.tanh(x / 3)


def tiny(width, channels):
    """(encoder, decoder): pictures in [0, 1] -> latents and back, with the published places of the layers."""
    conv = lambda a, b, **k: nn.Conv2d(a, b, 3, padding=1, **k)
    blocks = lambda count: [TinyBlock(width) for _ in range(count)]
    down = lambda: conv(width, width, stride=2, bias=False)
    up = lambda: [nn.Upsample(scale_factor=2), conv(width, width, bias=False)]
    encoder = nn.Sequential(conv(3, width), *blocks(1), down(), *blocks(3), down(), *blocks(3), down(), *blocks(3), conv(width, channels))
    decoder = nn.Sequential(Clamp(), conv(channels, width), nn.ReLU(), *blocks(3), *up(), *blocks(3), *up(), *blocks(3), *up(),
                            *blocks(1), conv(width, 3))
    return encoder, decoder


def as_diffusers(encoder, decoder, width, channels):
    twin = AutoencoderTiny(latent_channels=channels, encoder_block_out_channels=(width,) * 4, decoder_block_out_channels=(width,) * 4)
    twin.encoder.layers.load_state_dict(encoder.state_dict())
    twin.decoder.layers.load_state_dict({f"{int(k.split('.')[0]) - 1}.{k.split('.', 1)[1]}": v for k, v in decoder.state_dict().items()})
    return twin.eval()
