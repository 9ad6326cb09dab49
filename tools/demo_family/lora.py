"""LoRAs of words-l: where they lie in the U-Net and how they are written."""
import os

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2"]


def add(unet, rank):
    """The U-Net with a LoRA that learns; its own weights stay as they are. The LoRA is nothing at first."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS))
    return unet


def write(unet, path):
    """The LoRA alone, bf16, under diffusers' names."""
    weights = {key: tensor.bfloat16().contiguous() for key, tensor in get_peft_model_state_dict(unet).items()}
    StableDiffusionPipeline.save_lora_weights(os.path.dirname(path) or ".", unet_lora_layers=weights,
                                              weight_name=os.path.basename(path))
