"""Writes a trained model as a folder in Stable Diffusion 1's layout, as diffusers and the program read it, in bf16.

    python3 tools/demo_family/export.py --model l --work ~/words --out assets/words/words-l
    python3 tools/demo_family/export.py --model s --work ~/words --out assets/words/words-s --shared ../words-l

--shared links to what the family shares in the folder of the other model, named as it lies from --out.
The tokenizer is CLIP's own and comes with the program; --tokenizer adds it for diffusers, 3.6 MB.
"""
import argparse
import json
import os

import torch
from diffusers import AutoencoderKL

import checkpoint
import models
import tokens

SHARED = {"vae": ("diffusers", "AutoencoderKL"), "text_encoder": ("transformers", "CLIPTextModel")}


def link_shared(out, folder):
    for part in SHARED:
        link = os.path.join(out, part)
        if os.path.islink(link):
            os.remove(link)
        os.symlink(os.path.join(folder, part), link)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=models.UNETS, required=True)
    parser.add_argument("--work", default="~/words", help="folder of the trainings; default %(default)s")
    parser.add_argument("--out", required=True, help="folder")
    parser.add_argument("--shared", metavar="FOLDER", help="of the model that has the autoencoder and the text encoder")
    parser.add_argument("--tokenizer", action="store_true")
    args = parser.parse_args()
    work, out = os.path.expanduser(args.work), os.path.expanduser(args.out)
    best = checkpoint.load(os.path.join(work, f"words-{args.model}", "best.pt"))
    if best is None:
        parser.error(f"no best.pt of words-{args.model} in {work}")

    parts = {"unet": ("diffusers", "UNet2DConditionModel"), "scheduler": ("diffusers", "DDIMScheduler"), **SHARED}
    unet = models.unet(args.model)
    unet.load_state_dict(best["unet"])
    unet.to(torch.bfloat16).save_pretrained(os.path.join(out, "unet"))
    models.scheduler().save_pretrained(os.path.join(out, "scheduler"))
    if args.shared:
        link_shared(out, args.shared)
    else:
        refined, plain = os.path.join(work, "decoder"), os.path.join(work, "autoencoder")
        path = refined if os.path.isdir(refined) else plain
        autoencoder = AutoencoderKL.from_pretrained(path, low_cpu_mem_usage=False)
        autoencoder.to(torch.bfloat16).save_pretrained(os.path.join(out, "vae"))
        text_encoder = models.text_encoder()
        text_encoder.load_state_dict(best["text_encoder"])
        published = {f"text_model.{name}": tensor.bfloat16() for name, tensor in text_encoder.state_dict().items()}
        text_encoder.save_pretrained(os.path.join(out, "text_encoder"), state_dict=published)
    if args.tokenizer:
        parts["tokenizer"] = ("transformers", "CLIPTokenizer")
        tokens.tokenizer().save_pretrained(os.path.join(out, "tokenizer"))
    index = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False, "safety_checker": [None, None],
             "feature_extractor": [None, None], **parts}
    with open(os.path.join(out, "model_index.json"), "w", encoding="utf-8") as file:
        json.dump(index, file, indent=1)
    print(json.dumps({"step": best["step"], "held_out": best["held_out"]}))


if __name__ == "__main__":
    main()
