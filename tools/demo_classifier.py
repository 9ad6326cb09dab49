"""The classifier that measures the demo family: its network and its file. No command of its own.

Three convolutions of 3 x 3, strides 1, 2, 2, mean over the picture, a linear layer. Features: the means, 128 numbers;
spatial features: the first 7 channels before the mean, 7 x 7 x 7 = 343.
"""
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CONFIG = dict(name="fashion-features", architecture="FeatureNet", input_size=28, in_channels=1, widths=[32, 64, 128],
              strides=[1, 2, 2], num_classes=10, spatial_channels=7)


class FeatureNet(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        config = config or CONFIG
        widths = config["widths"]
        self.spatial_channels = config["spatial_channels"]
        self.conv = nn.ModuleList(nn.Conv2d(i, o, 3, stride=s, padding=1)
                                  for i, o, s in zip([config["in_channels"], *widths], widths, config["strides"]))
        self.fc = nn.Linear(widths[-1], config["num_classes"])

    def forward(self, pixels):
        """pixels: (N, C, 28, 28), 0 ... 255 -> features (N, 128), spatial (N, 343) as (row, column, channel), logits"""
        x = pixels / 127.5 - 1
        for conv in self.conv:
            x = F.relu(conv(x))
        features = x.mean(dim=(2, 3))
        return features, x[:, :self.spatial_channels].permute(0, 2, 3, 1).flatten(1), self.fc(features)


def load(path):
    with safe_open(path, "pt") as file:
        model = FeatureNet(json.loads(file.metadata()["config"]))
        model.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})
    return model.eval()


def save(path, state, **more):
    """Writes f32, whole or not at all."""
    tensors = {key: value.detach().float().contiguous() for key, value in state.items()}
    save_file(tensors, path + ".partial", metadata={"format": "pt", "config": json.dumps(CONFIG | more)})
    os.replace(path + ".partial", path)
