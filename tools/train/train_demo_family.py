"""Trains one model of the demo family on Fashion-MNIST, on a CPU.

    python3 tools/train/train_demo_family.py --model s --seconds 600 --out work/fashion-s.safetensors
    python3 tools/train/train_demo_family.py --model l --init assets/fashion-l.safetensors --seconds 3000 --out work/fashion-l.safetensors

The loss is the DiT paper's: squared error on eps, plus the variational bound that teaches the variance (and only it).
The learning rate warms up, then falls along a cosine to zero at the end of the budget, so a run is complete at any length.
Every few minutes the EMA weights are measured on held-out images, and --out always holds the best so far.
"""
import argparse
import copy
import json
import math
import os
import sys
import time

import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import fashion_mnist
from demo_files import load_model, save_model
from diffusion import Schedule
from dit import DiT
from held_out import eps_mse

SIZES = {"s": (64, 6, 4, 1.5e-3), "b": (128, 6, 4, 1e-3), "l": (192, 8, 6, 7e-4)}  # width, depth, heads, learning rate
QUICK = 4000  # held-out images per checkpoint
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def config_of(size):
    width, depth, heads, _ = SIZES[size]
    return dict(name=f"fashion-{size}", architecture="DiT", input_size=28, patch_size=4, in_channels=1, hidden_size=width,
                depth=depth, num_heads=heads, mlp_ratio=4.0, num_classes=10, learn_sigma=True, betas="linear",
                beta_start=1e-4, beta_end=2e-2, timesteps=1000, latent="pixels in [-1,1]", cfg_scale=2.0,
                classes=CLASSES)


class Loss:
    def __init__(self):
        s = Schedule.linear()
        names = ("abar", "betas", "posterior_log_variance", "posterior_mean_x0", "posterior_mean_x")
        self.table = {name: torch.from_numpy(getattr(s, name)).float().view(-1, 1, 1, 1) for name in names}

    def __call__(self, model, x0, y):
        t = torch.randint(1000, (len(x0),))
        at = {name: values[t] for name, values in self.table.items()}
        noise = torch.randn_like(x0)
        x = at["abar"].sqrt() * x0 + (1 - at["abar"]).sqrt() * noise
        eps, v = model(x, t, y).float().chunk(2, dim=1)
        return (eps - noise).square().mean() + self.bound(x0, x, eps.detach(), v, t, at)

    @staticmethod
    def bound(x0, x, eps, v, t, at):
        """The variational term in bits per dimension: KL to the posterior, or at t = 0 the likelihood of the pixels."""
        f = (v + 1) / 2
        log_variance = f * at["betas"].log() + (1 - f) * at["posterior_log_variance"]
        predicted_x0 = (x - (1 - at["abar"]).sqrt() * eps) / at["abar"].sqrt()
        mean = at["posterior_mean_x0"] * predicted_x0 + at["posterior_mean_x"] * x
        true_mean = at["posterior_mean_x0"] * x0 + at["posterior_mean_x"] * x
        true_log_variance = at["posterior_log_variance"]
        kl = 0.5 * (log_variance - true_log_variance - 1 + (true_log_variance - log_variance).exp()
                    + (true_mean - mean).square() * (-log_variance).exp())
        per_image = torch.where(t.view(-1, 1, 1, 1) == 0, -pixel_log_likelihood(x0, mean, log_variance), kl)
        return per_image.mean() / math.log(2)


def pixel_log_likelihood(x0, mean, log_variance):
    """Log-probability of the 8-bit pixel x0 under a Gaussian cut into 256 bins; the outer bins reach to infinity."""
    def cdf(edge):
        return torch.special.ndtr((edge - mean) * (-0.5 * log_variance).exp())

    above = torch.where(x0 > 0.999, 1.0, cdf(x0 + 1 / 255))
    below = torch.where(x0 < -0.999, 0.0, cdf(x0 - 1 / 255))
    return (above - below).clamp(min=1e-12).log()


def batches(size):
    """Endless shuffled batches, 10 % of the labels dropped to the null class."""
    images, labels = map(torch.from_numpy, (a.copy() for a in fashion_mnist.load("train")))
    while True:
        for index in torch.randperm(len(images)).split(size):
            y = torch.where(torch.rand(len(index)) < 0.1, 10, labels[index])
            yield images[index].float() / 127.5 - 1, y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--init", help="continue from this file's weights, with a fresh optimiser")
    parser.add_argument("--seconds", type=float, help="wall-clock budget; either this or --steps")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--lr", type=float, help="peak learning rate; default by model")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--warm-up", type=int, default=300, help="steps")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint-seconds", type=float, default=400)
    parser.add_argument("--compile", action="store_true", help="torch.compile; needs a C++ compiler")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if (args.seconds is None) == (args.steps is None):
        parser.error("give --seconds or --steps")
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)

    config = config_of(args.model)
    model = load_model(args.init).train() if args.init else DiT(config)
    model.config = config
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    network = torch.compile(model) if args.compile else model
    peak_lr = args.lr or SIZES[args.model][3]
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak_lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    loss_of, source = Loss(), batches(args.batch)

    best = eps_mse(ema, QUICK) if args.init else math.inf
    print(json.dumps({"start": best, "parameters": sum(p.numel() for p in model.parameters())}), flush=True)
    start = last_checkpoint = time.monotonic()
    running, step, done = None, 0, 0.0

    while done < 1:
        rate = peak_lr * min(1, (step + 1) / args.warm_up) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate
        x0, y = next(source)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(network, x0, y)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(args.ema, (1 + step) / (10 + step))  # short memory at first: the start is soon outdated
        torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)

        running = loss.item() if running is None else 0.99 * running + 0.01 * loss.item()
        now = time.monotonic()
        done = step / args.steps if args.steps else (now - start) / args.seconds
        if step % 200 == 0:
            print(json.dumps({"step": step, "epoch": round(step * args.batch / 60000, 2), "seconds": round(now - start),
                              "loss": round(running, 5), "lr": rate}), flush=True)
        if now - last_checkpoint > args.checkpoint_seconds or done >= 1:
            last_checkpoint, measured = now, eps_mse(ema, QUICK)
            if measured < best:
                best = measured
                save_model(args.out, ema.state_dict(), config)
            print(json.dumps({"step": step, "held_out": measured, "best": best}), flush=True)


if __name__ == "__main__":
    main()
