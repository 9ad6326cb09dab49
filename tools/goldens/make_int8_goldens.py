"""Writes tests/golden/int8: products of 8-bit numbers as tstitch/tensor/int8.h and backend.h define them, by PyTorch.

    python3 tools/goldens/make_int8_goldens.py [tests/golden/int8]

linear_*.npy   x (11, 70) and w (33, 70), b (33): what they become (q, zero, scale; values, scales) and their product; sums of
               integers in int64, the rest in f32
conv.npy       a 3 x 3 convolution, stride 1, zeros around, of a picture with one range
{s8,tiny}.npy, unet_{sd1,sdxl}.npy
               make_goldens.py's and make_unet_goldens.py's networks with the maps of their bodies so, and all else in f32; printed:
               how far they are from f32
"""
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import dit
import random_weights
import unets
from make_unet_goldens import HEIGHT, TIMESTEP, WIDTH, condition

SEED = 7
TINY = dict(input_size=28, patch_size=4, in_channels=1, hidden_size=64, depth=2, num_heads=4, mlp_ratio=4.0, num_classes=10,
            learn_sigma=True)


def uniform(name, shape, scale=np.sqrt(3.0)):
    return torch.from_numpy(random_weights.uniform(name, shape, scale, SEED))


def quantized_weight(w, factors=None):
    """Values and scales of each output; factors (C) of the inputs."""
    if factors is not None:
        w = w / factors.view(1, -1, *(1,) * (w.dim() - 2))
    largest = w.flatten(1).abs().amax(1)
    inverse = 127 / largest
    values = (w * inverse.view(-1, *(1,) * (w.dim() - 1))).round().clamp(-127, 127)  # ties to even
    return values, largest / 127


def range_of(low, high):
    """scale, inverse and zero, of tensors of bounds."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    width = high - low
    inverse = 255 / width
    return width / 255, inverse, (-low * inverse).round()


def quantized(x, inverse, zero):
    return ((x * inverse).round() + zero).clamp(0, 255)


def integer_product(q, zero, values):
    """sum_k (q - zero) values, exact."""
    return ((q - zero).to(torch.int64) @ values.to(torch.int64).T).to(torch.float32)


def linear(x, w, b):
    """x (..., K), a range for each row."""
    values, scales = quantized_weight(w)
    scale, inverse, zero = range_of(x.amin(-1, keepdim=True), x.amax(-1, keepdim=True))
    y = integer_product(quantized(x, inverse, zero), zero, values) * (scale * scales)
    return y if b is None else y + b


def conv(x, w, b, low, high, factors=None, **path):
    """x (N, C, H, W); low and high (N, C): the bounds of what is read, before factors."""
    values, scales = quantized_weight(w, factors)
    if factors is not None:
        x, low, high = x * factors.view(1, -1, 1, 1), low * factors, high * factors
    scale, inverse, zero = (part.view(-1, 1, 1, 1) for part in range_of(low.amin(1), high.amax(1)))
    numbers = quantized(x, inverse, zero) - zero
    sums = F.conv2d(numbers.double(), values.double(), **path).float()  # whole numbers: exact
    return sums * (scale * scales.view(1, -1, 1, 1)) + b.view(1, -1, 1, 1)


def silu_bounds(low, high):
    dip = torch.where((low < -1.2784645) & (high > -1.2784645), -0.2784645, torch.inf)
    a, b = F.silu(low.double()).float(), F.silu(high.double()).float()
    return torch.minimum(torch.minimum(a, b), dip), torch.maximum(a, b)


class Linear(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.weight, self.bias = module.weight, module.bias

    def forward(self, x, *_):
        return linear(x, self.weight.flatten(1), self.bias)


class Pointwise(Linear):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Conv(nn.Module):
    """behind: the norm whose silu it reads, or None."""

    def __init__(self, module, behind=None):
        super().__init__()
        self.weight, self.bias, self.stride, self.padding = module.weight, module.bias, module.stride, module.padding
        self.factors = None
        if behind is None:
            return
        reach = 3 * behind.weight.abs()
        bounds = silu_bounds(behind.bias - reach, behind.bias + reach)
        size, largest = torch.maximum(bounds[0].abs(), bounds[1].abs()), self.weight.abs().amax((0, 2, 3))
        self.factors = (largest / size).clamp(2.0**-20, 2.0**20).sqrt()
        behind.register_forward_hook(self.see)

    def see(self, _, __, normalised):
        self.bounds = silu_bounds(normalised.amin((2, 3)), normalised.amax((2, 3)))

    def forward(self, x):
        low, high = (x.amin((2, 3)), x.amax((2, 3))) if self.factors is None else self.bounds
        return conv(x, self.weight, self.bias, low, high, self.factors, stride=self.stride, padding=self.padding)


def dit_with_int8_body(config, tag):
    model = random_weights.fill(dit.DiT(config), tag)
    for block in model.blocks:
        for parent, names in ((block.attn, ("qkv", "proj")), (block.mlp, ("fc1", "fc2"))):
            for name in names:
                setattr(parent, name, Linear(getattr(parent, name)))
    return model


def give_int8_body(unet):
    for name, module in list(unet.named_modules()):
        parent = unet.get_submodule(name.rpartition(".")[0])
        last = name.rpartition(".")[2]
        if name.startswith(("time_", "add_", "conv_in", "conv_out")) or "time_emb" in name or ".attn2.to_k" in name or ".attn2.to_v" in name:
            continue
        if isinstance(module, nn.Linear):
            setattr(parent, last, Linear(module))
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            setattr(parent, last, Pointwise(module))
        elif isinstance(module, nn.Conv2d):
            setattr(parent, last, Conv(module, getattr(parent, last.replace("conv", "norm"), None)))


def distance(a, b):
    return float((a - b).norm() / b.norm())


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "int8")
    os.makedirs(folder, exist_ok=True)

    def save(name, tensor):
        np.save(os.path.join(folder, name + ".npy"), tensor.detach().numpy().astype(np.float32))

    with torch.inference_mode():
        x, w, b = uniform("x", (11, 70)), uniform("w", (33, 70)), uniform("b", (33,))
        values, scales = quantized_weight(w)
        scale, inverse, zero = range_of(x.amin(1, keepdim=True), x.amax(1, keepdim=True))
        for name, tensor in (("values", values), ("scales", scales), ("q", quantized(x, inverse, zero)), ("zero", zero[:, 0]),
                             ("scale", scale[:, 0]), ("y", linear(x, w, b))):
            save("linear_" + name, tensor)
        picture, kernel, bias = uniform("picture", (2, 20, 6, 9)), uniform("kernel", (13, 20, 3, 3)), uniform("bias", (13,))
        save("conv", conv(picture, kernel, bias, picture.amin((2, 3)), picture.amax((2, 3)), padding=1))

        for name, tag, config, classes in (("s8", "S/8", dit.official("S/8"), [207, 1000]), ("tiny", "tiny", TINY, [3, 10])):
            x = uniform("x_T", (2, config["in_channels"], config["input_size"], config["input_size"]))
            arguments = x, torch.tensor([501, 501]), torch.tensor(classes)
            y = dit_with_int8_body(config, tag)(*arguments)
            save(name, y)
            print(name, distance(y, random_weights.fill(dit.DiT(config), tag)(*arguments)))

        for name in ("sd1", "sdxl"):
            config = unets.TINY[name]
            model = unets.unet(name, config)
            context, added = condition(config, 2, 7)
            def evaluate():
                return model(uniform("x", (2, 4, HEIGHT, WIDTH)), TIMESTEP, encoder_hidden_states=context, added_cond_kwargs=added).sample
            exact = evaluate()
            give_int8_body(model)
            y = evaluate()
            save("unet_" + name, y)
            print("unet", name, distance(y, exact))


if __name__ == "__main__":
    main()
