"""Two towers that say how well a picture and a prompt agree, as CLIP does (Radford et al. 2021, arXiv 2103.00020).

Pictures go through the layers of the garments' classifier (tools/common/demo_classifier.py), whose last one gives an
embedding here; prompts through a narrow CLIP text encoder with the tokens that captions have, all others being one.
Both embeddings are normalised. The file is that of a feature network for `tstitch eval`, see load() and save().
"""
import functools
import json
import os
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "common"))
import colours
import data
import demo_classifier
import emoji
import tokens as clip_tokens

EMBEDDING = 64
PICTURE = dict(input_size=data.SIDE, in_channels=3, widths=[16, 32, 64, 128, 192], kernels=[3, 3, 3, 3, 3],
               features=128, num_classes=EMBEDDING, spatial_layer=3, spatial_channels=7)
TEXT = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
            max_position_embeddings=32, hidden_act="quick_gelu", projection_dim=EMBEDDING)


@functools.cache
def tokenizer():
    return clip_tokens.tokenizer()


def known_tokens():
    """CLIP's ids of all tokens that captions of the training have, in their order; the end of a text is the last."""
    texts = ["", "and", *(colours.on_background("", colour) for colour in colours.BACKGROUNDS), *colours.HUES]
    for i, subject in enumerate(emoji.load()):
        if not data.is_held_out_emoji(i):
            texts += [subject.name, f"{subject.name},", *subject.keywords, *(f"{k}," for k in subject.keywords)]
            texts += [colours.named(subject.name, colour) for colour in colours.HUES]
    return sorted({token for ids in tokenizer()(texts).input_ids for token in ids})


class Towers(nn.Module):
    """tokens: CLIP's ids that the text tower knows, rising."""

    def __init__(self, tokens, picture=None, text=None):
        super().__init__()
        self.tokens, self.text_config = tokens, text or TEXT
        self.place = {token: i + 1 for i, token in enumerate(tokens)}  # 0: any other
        self.picture = demo_classifier.DemoClassifier(picture or PICTURE)
        end = len(tokens)
        self.text = CLIPTextModelWithProjection(CLIPTextConfig(
            vocab_size=end + 1, bos_token_id=end - 1, eos_token_id=end, pad_token_id=end, **self.text_config))
        self.scale = nn.Parameter(torch.tensor(2.66))  # the logarithm of 1 / 0.07

    def ids(self, prompts):
        """(N, S) as long as the longest prompt, at most max_position_embeddings; ends where CLIP's do."""
        length = self.text_config["max_position_embeddings"]
        all_ids = tokenizer()(prompts, padding=True, max_length=length, truncation=True).input_ids
        return torch.tensor([[self.place.get(token, 0) for token in ids] for ids in all_ids])

    def embed_prompts(self, prompts):
        """(N, EMBEDDING), normalised."""
        return F.normalize(self.text(self.ids(prompts).to(self.scale.device)).text_embeds.float(), dim=-1)

    def embed_pictures(self, pixels):
        """pixels: (N, 3, H, W), 0 ... 255 -> (N, EMBEDDING), normalised."""
        return F.normalize(self.picture(pixels)[2].float(), dim=-1)


def save(path, towers, state=None, **more):
    """Writes f16, whole or not at all. state: of the picture tower, where it is another than the module's."""
    tensors = {**(state or towers.picture.state_dict()), **towers.text.state_dict()}
    config = dict(name="words-features", architecture="TwoTowers", **towers.picture.config, text=towers.text_config,
                  tokens=towers.tokens, **more)
    save_file({key: value.detach().half().contiguous() for key, value in tensors.items()}, path + ".partial",
              metadata={"format": "pt", "config": json.dumps(config)})
    os.replace(path + ".partial", path)


def load(path):
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
        towers = Towers(config["tokens"], config, config["text"])
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}
    for module in (towers.picture, towers.text):
        module.load_state_dict({key: tensors[key] for key in module.state_dict()})
    return towers.eval()


def ranks(pictures, prompts, right):
    """How many prompts each picture is nearer to than to its own. pictures: (N, E), prompts: (M, E), right: (N)."""
    near = pictures @ prompts.T
    return (near > near.gather(1, right[:, None])).sum(dim=1)
