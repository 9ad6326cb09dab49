"""The time of one evaluation in PyTorch, eager and compiled, of the networks and random weights that the benches of tstitch use:
a line of JSON for each.

    python3 pytorch_speed.py --model DiT-XL/2 --images 8            guided: 16 rows
    python3 pytorch_speed.py --model sd1 --size 64                  one image guided; or sdxl, --size 128
"""
import argparse
import json
import os
import statistics
import sys
import time

import torch

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tools", "common"))
import dit
import random_weights

SEED, TIMESTEP = 7, 741


def uniform(name, shape, scale, device):
    """random_weights.uniform on the device: words are int64, whose products wrap as they should."""
    count = int(torch.Size(shape).numel())
    block = torch.arange((count + 3) // 4, device=device)
    low = 0xFFFFFFFF
    key = random_weights.fnv1a64(name) ^ SEED
    k0, k1 = key & low, key >> 32
    c = [block & low, block >> 32, torch.zeros_like(block), torch.zeros_like(block)]
    for _ in range(10):
        p0, p1 = (word_product(c[0], 0xD2511F53), word_product(c[2], 0xCD9E8D57))
        c = [p1[0] ^ c[1] ^ k0, p1[1], p0[0] ^ c[3] ^ k1, p0[1]]
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    words = torch.stack(c, dim=1).reshape(-1)[:count]
    return (((words >> 8).double() * 2.0**-23 - 1) * scale).float().reshape(shape)


def word_product(x, factor):
    """High and low 32 bits of x times a 32-bit factor, in two halves that int64 holds."""
    a, b = x * (factor & 0xFFFF), x * (factor >> 16)
    middle = (a >> 16) + b
    return middle >> 16, (a & 0xFFFF) | ((middle & 0xFFFF) << 16)


def fill(model, tag, device):
    """random_weights.fill, in bf16."""
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        values = uniform(f"{tag}/{name}", shape, random_weights.weight_scale(name, shape), device)
        parameter.data = (values + float(random_weights.weight_center(name))).bfloat16()
    return model.eval()


def dit_case(args):
    with torch.device(args.device):
        model = dit.DiT(dit.official(args.model.removeprefix("DiT-"), 32))
    model = fill(model, args.model, args.device)
    model.pos_embed = model.pos_embed.to(args.device, torch.bfloat16)
    embedder = model.t_embedder  # the sinusoid in f32, its result in bf16
    embedder.frequency = embedder.frequency.to(args.device).float()
    embedder.mlp.register_forward_pre_hook(lambda _, inputs: (inputs[0].bfloat16(),))
    rows = 2 * args.images
    x = uniform("x", (rows, 4, 32, 32), 3**0.5, args.device).bfloat16()
    t = torch.full((rows,), TIMESTEP, device=args.device)
    y = torch.tensor([207] * args.images + [1000] * args.images, device=args.device)
    return model, lambda m: m(x, t, y)


def unet_case(args):
    import unets
    from diffusers import UNet2DConditionModel

    config = unets.PUBLISHED[args.model]
    with torch.device("meta"):
        model = UNet2DConditionModel(**config)
    model = fill(model.to_empty(device=args.device), args.model, args.device).to(memory_format=torch.channels_last)
    number = lambda name, *shape: uniform(name, shape, 3**0.5, args.device).bfloat16()
    x = number("x", 2, 4, args.size, args.size).to(memory_format=torch.channels_last)
    context = number("context", 2, 77, config["cross_attention_dim"])
    added = None
    if "addition_embed_type" in config:
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        added = dict(text_embeds=number("pooled", 2, pooled), time_ids=torch.full((2, 6), 1024.0, device=args.device))
    return model, lambda m: m(x, TIMESTEP, encoder_hidden_states=context, added_cond_kwargs=added).sample


def measure(evaluate, args):
    def seconds():
        if args.device == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        evaluate()
        if args.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    first = seconds()
    for _ in range(2 if args.device == "cuda" else 0):
        seconds()
    return {"ms": round(1e3 * statistics.median(seconds() for _ in range(args.repeats)), 3), "first_s": round(first, 2)}


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="DiT-XL/2")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="latent pixels of a U-Net")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=21)
    args = parser.parse_args()
    model, evaluate = dit_case(args) if args.model.startswith("DiT-") else unet_case(args)
    print(json.dumps({"who": f"PyTorch {torch.__version__} eager"} | measure(lambda: evaluate(model), args)), flush=True)
    if args.device == "cuda":
        compiled = torch.compile(model)
        print(json.dumps({"who": f"PyTorch {torch.__version__} torch.compile"} | measure(lambda: evaluate(compiled), args)), flush=True)


if __name__ == "__main__":
    main()
