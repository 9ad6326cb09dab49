"""Golden values of U-Nets, from diffusers.

    python3 tools/goldens/make_unet_goldens.py [tests/golden/unet]

Writes for each tiny configuration of unets.py its config.json as diffusers stores it, the output for two images with
different contexts, of some also for latents whose halves are none, and for each way of counting blocks the names of CompVis' layout.
"""
import json
import os
import sys

import numpy as np
import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights
import unets

SEED = 7
HEIGHT, WIDTH, TIMESTEP = 8, 16, 741.0
ODD = {name: [(9, 13), (10, 6)] for name in ("sd1", "bk_tiny", "sdxl", "koala_700m")}  # height, width
GUIDANCE = [7.5, 2.5]  # of networks that are told it
SIZES = [[64, 128, 0, 0, 64, 128], [100, 90, 5, 7, 64, 128]]  # height, width, crop top, crop left, target height and width


def uniform(name, shape):
    return torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), SEED))


def condition(config, images, tokens):
    added = None
    if config.get("addition_embed_type"):
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        added = dict(text_embeds=uniform("pooled", (images, pooled)), time_ids=torch.tensor(SIZES[:images], dtype=torch.float32))
    return uniform("context", (images, tokens, config["cross_attention_dim"])), added


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "unet")
    os.makedirs(folder, exist_ok=True)
    for name, config in unets.TINY.items():
        model = unets.unet(name, config)
        context, added = condition(config, 2, 1 if name == "ldm" else 7)
        width = config.get("time_cond_proj_dim")
        for size in [(HEIGHT, WIDTH), *ODD.get(name, [])]:
            with torch.inference_mode():
                y = model(uniform("x", (2, 4, *size)), TIMESTEP, encoder_hidden_states=context, added_cond_kwargs=added,
                          timestep_cond=unets.told(GUIDANCE, width) if width else None).sample
            suffix = "" if size == (HEIGHT, WIDTH) else "_%dx%d" % size
            np.save(os.path.join(folder, f"{name}{suffix}.npy"), y.numpy())
        stored = {k: v for k, v in model.config.items() if k != "_use_default_values"}
        with open(os.path.join(folder, f"{name}.json"), "w") as file:
            json.dump({"_class_name": "UNet2DConditionModel", **stored}, file, indent=1, sort_keys=True)
            file.write("\n")
        modules = {"": unets.compvis_modules(model, sparse=False)}
        if name.startswith("bk"):
            modules["_sparse"] = unets.compvis_modules(model, sparse=True)
        for suffix, names in modules.items():
            with open(os.path.join(folder, f"{name}{suffix}_names.json"), "w") as file:
                json.dump(names, file, indent=0)
                file.write("\n")
        print(name, sum(p.numel() for p in model.parameters()), float(y.std()))


if __name__ == "__main__":
    main()
