"""The classifier that measures the demo family: its network and its file. No command of its own.

Three convolutions of stride 2 (5 x 5, then 3 x 3), a hidden layer, ten logits; ReLU between. Features: the hidden layer, 128 numbers;
spatial features: the first 7 channels of the second convolution's output, 7 x 7 x 7 = 343.
"""
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CONFIG = dict(name="fashion-features", architecture="FeatureNet", input_size=28, in_channels=1, widths=[32, 64, 64],
              kernels=[5, 3, 3], features=128, num_classes=10, spatial_layer=1, spatial_channels=7)


class DemoClassifier(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        config = config or CONFIG
        widths = config["widths"]
        self.config = config
        self.conv = nn.ModuleList(nn.Conv2d(i, o, k, stride=2, padding=k // 2)
                                  for i, o, k in zip([config["in_channels"], *widths], widths, config["kernels"]))
        size = config["input_size"]
        for _ in widths:
            size = (size + 1) // 2
        self.hidden = nn.Linear(size * size * widths[-1], config["features"])
        self.fc = nn.Linear(config["features"], config["num_classes"])

    def forward(self, pixels):
        """pixels: (N, C, 28, 28), 0 ... 255 -> features (N, 128), spatial (N, 343), logits (N, 10); flat is (row, column, channel)"""
        x = pixels / 127.5 - 1
        for i, conv in enumerate(self.conv):
            x = F.relu(conv(x))
            if i == self.config["spatial_layer"]:
                spatial = flat(x[:, :self.config["spatial_channels"]])
        features = F.relu(self.hidden(flat(x)))
        return features, spatial, self.fc(features)


def flat(x):
    return x.permute(0, 2, 3, 1).flatten(1)


def load(path):
    with safe_open(path, "pt") as file:
        model = DemoClassifier(json.loads(file.metadata()["config"]))
        model.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})
    return model.eval()


def save(path, state, **more):
    """Writes f32, whole or not at all."""
    tensors = {key: value.detach().float().contiguous() for key, value in state.items()}
    save_file(tensors, path + ".partial", metadata={"format": "pt", "config": json.dumps(CONFIG | more)})
    os.replace(path + ".partial", path)
