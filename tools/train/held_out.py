"""The held-out loss of demo models: mean squared error on eps over the 10 000 test images of Fashion-MNIST.

    python3 tools/train/held_out.py assets/fashion-s.safetensors assets/fashion-l.safetensors

Image i is noised with fixed noise at timestep 25 + 50 (i mod 20), so two models see exactly the same questions.
"""
import os
import sys

import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import fashion_mnist
from diffusion import Schedule


def questions(count=10000):
    """(x_t, t, y, eps), the same on every call."""
    images, labels = fashion_mnist.load("t10k")
    x0 = torch.from_numpy(images[:count].copy()).float() / 127.5 - 1
    t = 25 + 50 * (torch.arange(count) % 20)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    abar = torch.from_numpy(Schedule.linear().abar).float()[t].view(-1, 1, 1, 1)
    return abar.sqrt() * x0 + (1 - abar).sqrt() * eps, t, torch.from_numpy(labels[:count]), eps


@torch.inference_mode()
def eps_mse(model, count=10000, batch=500):
    total = 0.0
    for x, t, y, eps in zip(*(part.split(batch) for part in questions(count))):
        total += (model(x, t, y)[:, :1] - eps).square().mean().item() * len(x)
    return total / count


if __name__ == "__main__":
    from demo_files import load_model

    for path in sys.argv[1:]:
        print(f"{eps_mse(load_model(path)):.6f}  {path}", flush=True)
