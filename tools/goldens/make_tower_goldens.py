"""Writes tests/golden/eval/towers.*: two towers of random weights, four pictures, and what PyTorch makes of them and of prompts.

    python3 tools/goldens/make_tower_goldens.py     # reads Debian's fonts-noto-color-emoji and unicode-cldr-core, as its module does
"""
import json
import pathlib
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools/demo_family"))
import towers

FOLDER = ROOT / "tests/golden/eval"
PICTURE = dict(input_size=16, in_channels=3, widths=[4, 8], kernels=[3, 5], features=12, num_classes=8, spatial_layer=1, spatial_channels=7)
TEXT = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=12,
            hidden_act="quick_gelu", projection_dim=8)
KNOWN = ["red heart", "a cat, black", "dog on a blue background"]
# Known words in another order, unknown ones, none, and more than the tower reads.
PROMPTS = ["red heart", "a blue cat, black", "an astronaut riding a horse", "", "dog on a blue background, a cat, a dog, red, black, blue, heart"]
OF_PICTURE = [0, 1, 1, 4]  # which prompt


def random_towers():
    tokens = sorted({token for ids in towers.tokenizer()(KNOWN).input_ids for token in ids})
    made = towers.Towers(tokens, PICTURE, TEXT)
    with torch.no_grad():
        for parameter in [*made.picture.parameters(), *made.text.parameters()]:
            parameter.normal_(0, 0.3)
    return made


if __name__ == "__main__":
    torch.manual_seed(0)
    path = str(FOLDER / "towers.safetensors")
    towers.save(path, random_towers())
    model = towers.load(path)
    pictures = np.random.default_rng(0).integers(0, 256, (len(OF_PICTURE), 16, 16, 3), dtype=np.uint8)
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        pooled, spatial, _ = model.picture(pixels)
        embedding, texts = model.embed_pictures(pixels), model.embed_prompts(PROMPTS)
    cosines = (embedding * texts[OF_PICTURE]).sum(dim=1)
    answers = dict(pooled=pooled, spatial=spatial, embedding=embedding, texts=texts)
    rounded = {key: [float(f"{v:.7g}") for v in value.flatten().tolist()] for key, value in answers.items()}
    rounded |= dict(prompts=PROMPTS, of_picture=OF_PICTURE, agreement=100 * cosines.mean().item())
    (FOLDER / "towers.json").write_text(json.dumps(rounded) + "\n")
    np.savez_compressed(FOLDER / "towers.npz", arr_0=pictures)
