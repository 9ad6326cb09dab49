"""Reads and writes the demo models: safetensors whose metadata key `config` is the model's JSON. No command of its own."""
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dit import DiT


def load_model(path):
    """The model in f32, ready to evaluate. The position table is rebuilt, not read: the file rounds it to bf16."""
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
        tensors = {key: file.get_tensor(key).float() for key in file.keys() if key != "pos_embed"}
    model = DiT(config)
    tensors["pos_embed"] = model.pos_embed
    model.load_state_dict(tensors)
    return model.eval()


def save_model(path, state, config):
    """Writes bf16, whole or not at all."""
    tensors = {key: value.detach().to(torch.bfloat16).contiguous() for key, value in state.items()}
    save_file(tensors, path + ".partial", metadata={"format": "pt", "config": json.dumps(config)})
    os.replace(path + ".partial", path)
