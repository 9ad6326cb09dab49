"""The Diffusion Transformer (Peebles & Xie, arXiv 2212.09748) in plain PyTorch.

Trains the demo family and serves as the oracle for the golden tests. The key names are those of the official
checkpoints; the code is written from the paper. No command of its own; try

    python3 -c "import dit; print(dit.DiT(dit.official('S/8')))"      (inside tools/common/)
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

OFFICIAL_SIZES = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "XL": (1152, 28, 16)}


def official(name, input_size=32):
    """The configuration of an ImageNet model such as "S/8" or "XL/2"; input_size is the latent's side."""
    size, patch = name.split("/")
    hidden, depth, heads = OFFICIAL_SIZES[size]
    return dict(input_size=input_size, patch_size=int(patch), in_channels=4, hidden_size=hidden, depth=depth,
                num_heads=heads, mlp_ratio=4.0, num_classes=1000, learn_sigma=True)


def sincos_table(dim, side):
    """The fixed 2-D position table (side*side, dim): the first half of the dims encodes the column, the second the row."""
    frequency = 1.0 / 10000 ** (np.arange(dim // 4, dtype=np.float64) / (dim / 4))
    row, column = np.divmod(np.arange(side * side), side)
    halves = [np.outer(position, frequency) for position in (column, row)]
    table = np.concatenate([f(half) for half in halves for f in (np.sin, np.cos)], axis=1)
    return table.astype(np.float32)


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class TimestepEmbedder(nn.Module):
    """Sinusoid [cos | sin] of the integer timestep, then an MLP."""

    def __init__(self, hidden):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.register_buffer("frequency", torch.exp(-math.log(10000.0) * torch.arange(128) / 128), persistent=False)

    def forward(self, t):
        angle = t.float()[:, None] * self.frequency
        return self.mlp(torch.cat([angle.cos(), angle.sin()], dim=1))


class LabelEmbedder(nn.Module):
    """One row per class and a last row for "no class" (the null class of classifier-free guidance)."""

    def __init__(self, classes, hidden):
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, hidden)

    def forward(self, y):
        return self.embedding_table(y)


class PatchEmbedder(nn.Module):
    def __init__(self, channels, patch, hidden):
        super().__init__()
        self.proj = nn.Conv2d(channels, hidden, kernel_size=patch, stride=patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)  # tokens row by row


class Attention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, x):
        n, tokens, hidden = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        if self.training:  # written out: PyTorch's fused backward is several times slower for so few tokens on a CPU
            mixed = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, hidden))


class Mlp(nn.Module):
    def __init__(self, hidden, ratio):
        super().__init__()
        self.fc1 = nn.Linear(hidden, int(hidden * ratio))
        self.fc2 = nn.Linear(int(hidden * ratio), hidden)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """A transformer block conditioned by adaLN-Zero."""

    def __init__(self, hidden, heads, ratio):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(hidden, heads)
        self.mlp = Mlp(hidden, ratio)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 6 * hidden))

    def forward(self, x, c):
        shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp = self.adaLN_modulation(c).chunk(6, dim=1)
        x = x + gate_msa.unsqueeze(1) * self.attn(modulate(self.norm(x), shift_msa, scale_msa))
        return x + gate_mlp.unsqueeze(1) * self.mlp(modulate(self.norm(x), shift_mlp, scale_mlp))


class FinalLayer(nn.Module):
    def __init__(self, hidden, outputs):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(hidden, outputs)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=1)
        return self.linear(modulate(self.norm(x), shift, scale))


class DiT(nn.Module):
    """config: the dict of `official`, or the JSON in a demo file's metadata (its other keys are ignored)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        hidden, self.patch = config["hidden_size"], config["patch_size"]
        self.side = config["input_size"] // self.patch
        self.out_channels = config["in_channels"] * (2 if config["learn_sigma"] else 1)
        self.x_embedder = PatchEmbedder(config["in_channels"], self.patch, hidden)
        self.t_embedder = TimestepEmbedder(hidden)
        self.y_embedder = LabelEmbedder(config["num_classes"], hidden)
        self.blocks = nn.ModuleList(Block(hidden, config["num_heads"], config["mlp_ratio"]) for _ in range(config["depth"]))
        self.final_layer = FinalLayer(hidden, self.patch**2 * self.out_channels)
        self.register_buffer("pos_embed", torch.from_numpy(sincos_table(hidden, self.side))[None])
        self.initialise()

    def initialise(self):
        """The DiT recipe: every block starts as the identity, the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.x_embedder.proj.weight.view(self.config["hidden_size"], -1))
        nn.init.zeros_(self.x_embedder.proj.bias)
        for weight in (self.t_embedder.mlp[0].weight, self.t_embedder.mlp[2].weight, self.y_embedder.embedding_table.weight):
            nn.init.normal_(weight, std=0.02)
        for layer in [block.adaLN_modulation[1] for block in self.blocks] + [
                self.final_layer.adaLN_modulation[1], self.final_layer.linear]:
            nn.init.zeros_(layer.weight)

    def condition(self, t, y):
        return self.t_embedder(t) + self.y_embedder(y)

    def embed(self, x):
        return self.x_embedder(x) + self.pos_embed

    def unpatchify(self, tokens):
        """(N, side*side, p*p*C), channel fastest -> (N, C, H, W)"""
        n, side, p, channels = tokens.shape[0], self.side, self.patch, self.out_channels
        image = tokens.view(n, side, side, p, p, channels).permute(0, 5, 1, 3, 2, 4)
        return image.reshape(n, channels, side * p, side * p)

    def forward(self, x, t, y):
        """x (N, C, H, W), t and y (N,) integers -> (N, C or 2C, H, W): eps, then the variance's v when learned."""
        x, c = self.embed(x), self.condition(t, y)
        for block in self.blocks:
            x = block(x, c)
        return self.unpatchify(self.final_layer(x, c))
