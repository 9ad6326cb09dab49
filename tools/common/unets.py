"""U-Nets with random_weights.py's weights: diffusers' UNet2DConditionModel, tiny and of published size, and CompVis' names."""
import warnings

import random_weights

warnings.filterwarnings("ignore")

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
SPATIAL = dict(sample_size=64, in_channels=4, out_channels=4)


def blocks(down):
    up = {CROSS: "CrossAttnUpBlock2D", PLAIN: "UpBlock2D"}
    return dict(down_block_types=tuple(down), up_block_types=tuple(up[kind] for kind in reversed(down)))


def sd(channels, layers, context, heads, innermost=True, middle="UNetMidBlock2DCrossAttn", linear=False):
    return dict(SPATIAL, block_out_channels=channels, layers_per_block=layers, cross_attention_dim=context, attention_head_dim=heads,
                mid_block_type=middle, use_linear_projection=linear, **blocks([CROSS] * 3 + [PLAIN] * innermost))


def ldm(width, context):
    return dict(SPATIAL, block_out_channels=(width, 2 * width, 4 * width), layers_per_block=2, cross_attention_dim=context,
                attention_head_dim=(width // 32, width // 16, width // 8), **blocks([CROSS] * 3))


def sdxl(channels, heads, depths, middle="UNetMidBlock2DCrossAttn", up_depths=None, pooled=1280, time=256, layers=2):
    return dict(SPATIAL, block_out_channels=channels, layers_per_block=layers, cross_attention_dim=2048, attention_head_dim=heads,
                transformer_layers_per_block=depths, reverse_transformer_layers_per_block=up_depths, mid_block_type=middle,
                use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=time,
                projection_class_embeddings_input_dim=pooled + 6 * time, **blocks([PLAIN, CROSS, CROSS]))


WIDE = (320, 640, 1280, 1280)
ONE = "UNetMidBlock2D"
PUBLISHED = {
    "sd1": sd(WIDE, 2, 768, 8),
    "sd2": sd(WIDE, 2, 1024, (5, 10, 20, 20), linear=True),
    "bk_base": sd(WIDE, 1, 768, 8),
    "bk_small": sd(WIDE, 1, 768, 8, middle=None),
    "bk_tiny": sd(WIDE[:3], 1, 768, 8, innermost=False, middle=None),
    "ldm": ldm(256, 512),
    "ldm_s": ldm(64, 256),
    "sdxl": sdxl(WIDE[:3], (5, 10, 20), (1, 2, 10)),
    "ssd1b": sdxl(WIDE[:3], (5, 10, 20), (1, (2, 2), (4, 4)), ONE, ((4, 4, 10), (2, 1, 1), 1)),
    "vega": sdxl(WIDE[:3], (5, 10, 20), (1, (1, 1), (2, 2)), ONE, ((2, 2, 2), (1, 1, 1), 1)),
    "koala_1b": sdxl(WIDE[:3], (5, 10, 20), (1, 2, 6), layers=1),
    "koala_700m": sdxl(WIDE[:3], (5, 10, 20), (1, 2, 5), None, layers=1),
}
# The same families, small; the width of the context, by which the number of heads is known, is the published one.
TINY = {
    "sd1": sd((32, 64, 64, 64), 2, 768, 8),
    "sd2": sd((64, 64, 128, 128), 2, 1024, (1, 1, 2, 2), linear=True),
    "bk_base": sd((32, 64, 64, 64), 1, 768, 8),
    "bk_small": sd((32, 64, 64, 64), 1, 768, 8, middle=None),
    "bk_tiny": sd((32, 64, 64), 1, 768, 8, innermost=False, middle=None),
    "ldm": ldm(32, 256),
    "sdxl": sdxl((64, 64, 128), (1, 1, 2), (1, 1, 2), pooled=32, time=8),
    "ssd1b": sdxl((64, 64, 128), (1, 1, 2), (1, (2, 1), (1, 1)), ONE, ((1, 1, 2), (1, 2, 1), 1), pooled=32, time=8),
    "vega": sdxl((64, 64, 128), (1, 1, 2), (1, (1, 1), (2, 2)), ONE, ((2, 2, 2), (1, 1, 1), 1), pooled=32, time=8),
    "koala_1b": sdxl((64, 64, 128), (1, 1, 2), (1, 2, 1), pooled=32, time=8, layers=1),
    "koala_700m": sdxl((64, 64, 128), (1, 1, 2), (1, 1, 2), None, pooled=32, time=8, layers=1),
    "lcm": dict(sd((32, 64, 64, 64), 1, 768, 8), time_cond_proj_dim=16),
}


def told(scales, width):
    """What a distilled U-Net is told of the scales of guidance: diffusers' embedding, not rounded to f32 on the way."""
    import torch
    from diffusers import LatentConsistencyModelPipeline

    w = torch.tensor(scales, dtype=torch.float64) - 1
    return LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, w, width, torch.float64).float()


def unet(tag, config):
    from diffusers import UNet2DConditionModel

    return random_weights.fill(UNet2DConditionModel(**config), tag)


def compvis_modules(model, sparse):
    """{module of diffusers: module of CompVis' layout} of a U-Net or of a ControlNet's way down, found by counting through as its
    constructor does. sparse: as files of BK-SDM are converted, each stage with the three numbers of Stable Diffusion's."""
    names = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
    if hasattr(model, "conv_out"):
        names |= {"conv_norm_out": "out.0", "conv_out": "out.2"}
    if getattr(model.time_embedding, "cond_proj", None) is not None:
        names["time_embedding.cond_proj"] = "time_embed.cond_proj"
    if getattr(model, "add_embedding", None) is not None:
        names |= {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    inner = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
             "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}

    def resnet(name, module, target):
        names.update({f"{name}.{a}": f"{target}.{b}" for a, b in inner.items() if getattr(module, a, None) is not None})

    index = 1
    for i, block in enumerate(model.down_blocks):
        for j, module in enumerate(block.resnets):
            resnet(f"down_blocks.{i}.resnets.{j}", module, f"input_blocks.{index}.0")
            if hasattr(block, "attentions"):
                names[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{index}.1"
            index += 1
        if sparse:
            index = 3 * i + 3
        if block.downsamplers is not None:
            names[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{index}.0.op"
            index += 1
    if model.mid_block is not None:
        attentions = [a for a in getattr(model.mid_block, "attentions", []) if a is not None]
        for j, module in enumerate(model.mid_block.resnets):
            resnet(f"mid_block.resnets.{j}", module, f"middle_block.{2 * j}")
        if attentions:
            names["mid_block.attentions.0"] = "middle_block.1"
    index = 0
    for i, block in enumerate(getattr(model, "up_blocks", [])):
        for j, module in enumerate(block.resnets):
            resnet(f"up_blocks.{i}.resnets.{j}", module, f"output_blocks.{index}.0")
            if hasattr(block, "attentions"):
                names[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{index}.1"
            index += 1
        if sparse:
            index = 3 * i + 3
        if block.upsamplers is not None:
            behind = 1 if (sparse and i == 0) or not hasattr(block, "attentions") else 2
            names[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{index - 1}.{behind}.conv"
    return names
