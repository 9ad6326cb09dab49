"""Writes tests/golden/clip: what transformers' CLIP text encoder answers with random_weights.py's weights.

    python3 tools/goldens/make_clip_goldens.py

Everything is f32 on the CPU, seed 7. OpenCLIP's names are checked with an encoder put together from torch.nn's own
multi-head attention, which must answer as transformers' does; a disagreement writes nothing.
"""

import json
import os
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights

SEED = 7
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/clip"
CASES = {
    "clip": dict(hidden_size=128, num_attention_heads=2, num_hidden_layers=3, intermediate_size=200, hidden_act="quick_gelu"),
    "openclip": dict(hidden_size=192, num_attention_heads=3, num_hidden_layers=2, intermediate_size=384, hidden_act="gelu"),
}
COMMON = dict(vocab_size=97, max_position_embeddings=19, bos_token_id=95, eos_token_id=96, pad_token_id=96)
IDS = [[95, 5, 17, 3, 96, 96, 96, 96, 96, 96, 96, 96, 96, 96, 96, 96, 96, 96, 96], [95] + list(range(17)) + [96]]


def encoder(tag, **config):
    model = CLIPTextModel(CLIPTextConfig(**COMMON, **config))
    for name, parameter in model.named_parameters():
        short = name.removeprefix("text_model.")
        shape = tuple(parameter.shape)
        scale = random_weights.weight_scale(short, shape)
        parameter.data = torch.from_numpy(random_weights.uniform(f"{tag}/{short}", shape, scale, SEED))
    return model.eval()


class Block(nn.Module):
    """A block of OpenCLIP's text transformer, with its names."""

    def __init__(self, width, heads, mlp):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, mlp))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(mlp, width))

    def forward(self, x, mask):
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class OpenClipText(nn.Module):
    def __init__(self, width, heads, layers, mlp, vocabulary, positions):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.zeros(positions, width))
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(width, heads, mlp) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.token_embedding(ids) + self.positional_embedding
        mask = torch.full((ids.shape[1],) * 2, float("-inf")).triu(1)
        for block in self.transformer.resblocks:
            x = block(x, mask)
        return self.ln_final(x)


def as_openclip(state):
    """transformers' tensors under OpenCLIP's names, and how: stored name -> [names joined along the rows]."""
    out, names = {}, {}
    for name in state:
        short = name.removeprefix("text_model.")
        if "position_ids" in short:
            continue
        parts = [short]
        stored = short
        if short.startswith("embeddings.token"):
            stored = "token_embedding.weight"
        elif short.startswith("embeddings.position"):
            stored = "positional_embedding"
        elif short.startswith("final_layer_norm"):
            stored = short.replace("final_layer_norm", "ln_final")
        else:
            _, _, layer, *rest = short.split(".")
            what, kind = ".".join(rest[:-1]), rest[-1]
            prefix = f"transformer.resblocks.{layer}."
            if what in ("self_attn.k_proj", "self_attn.v_proj"):
                continue
            if what == "self_attn.q_proj":
                parts = [short.replace("q_proj", f"{x}_proj") for x in "qkv"]
                stored = prefix + "attn.in_proj_" + kind
            else:
                new = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
                       "self_attn.out_proj": "attn.out_proj"}[what]
                stored = f"{prefix}{new}.{kind}"
        full = [next(k for k in state if k.removeprefix("text_model.") == part) for part in parts]
        out[stored] = torch.cat([state[k] for k in full])
        names[stored] = [parts, list(out[stored].shape)]
    return out, names


@torch.no_grad()
def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    ids = torch.tensor(IDS)
    for tag, config in CASES.items():
        model = encoder(tag, **config)
        out = model(ids, output_hidden_states=True)
        text = getattr(model, "text_model", model)
        skipped = text.final_layer_norm(out.hidden_states[-2])
        if tag == "openclip":
            stored, names = as_openclip(model.state_dict())
            twin = OpenClipText(config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"],
                                config["intermediate_size"], COMMON["vocab_size"], COMMON["max_position_embeddings"])
            twin.load_state_dict(stored)
            error = (twin(ids) - out.last_hidden_state).abs().max()
            assert error <= 1e-5 * out.last_hidden_state.abs().max(), error
            lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in names.items())
            (FOLDER / "openclip_names.json").write_text("{" + lines + "}\n")
        np.save(FOLDER / f"{tag}.npy", out.last_hidden_state.numpy())
        np.save(FOLDER / f"{tag}_skip.npy", skipped.numpy())
    (FOLDER / "ids.json").write_text(json.dumps(IDS) + "\n")


if __name__ == "__main__":
    main()
