"""The networks of a folder that export.py wrote, in f32."""
import os

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel


def networks(folder):
    """The U-Net and the text encoder."""
    unet = UNet2DConditionModel.from_pretrained(os.path.join(folder, "unet"), low_cpu_mem_usage=False)
    text_encoder = CLIPTextModel.from_pretrained(os.path.join(folder, "text_encoder"))
    return unet.to(torch.float32), text_encoder.to(torch.float32)
