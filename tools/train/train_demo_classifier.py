"""Trains the classifier whose features measure the demo family (assets/fashion-features.safetensors), on a CPU.

    python3 tools/train/train_demo_classifier.py --epochs 24 --out assets/fashion-features.safetensors

AdamW, rate 3e-3 falling along a cosine, batches of 256, pictures flipped and moved by up to one pixel; a batch norm behind
each convolution while training, folded into it in the file. The last step's weights are the file's, whatever the test says.
"""
import argparse
import json
import math
import os
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import demo_classifier
import fashion_mnist


class Trained(nn.Module):
    """The network with the norms that make its training short."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.norms = nn.ModuleList(nn.BatchNorm2d(conv.out_channels) for conv in self.net.conv)

    def forward(self, pixels):
        x = pixels / 127.5 - 1
        for conv, norm in zip(self.net.conv, self.norms):
            x = F.relu(norm(conv(x)))
        x = F.relu(self.net.hidden(demo_classifier.flat(x)))
        return self.net.fc(F.dropout(x, 0.2, self.training))

    def folded(self):
        state = {key: value.detach().clone() for key, value in self.net.state_dict().items()}
        for i, norm in enumerate(self.norms):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            state[f"conv.{i}.weight"] *= scale.detach().view(-1, 1, 1, 1)
            state[f"conv.{i}.bias"] = ((state[f"conv.{i}.bias"] - norm.running_mean) * scale + norm.bias).detach()
        return state


def augmented(x):
    x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    moved = F.pad(x, (1, 1, 1, 1))
    dy, dx = torch.randint(0, 3, (2,)).tolist()  # one move for the whole batch
    return moved[:, :, dy:dy + 28, dx:dx + 28]


@torch.inference_mode()
def accuracy(model, images, labels):
    hits = sum((model(x.float())[-1].argmax(1) == y).sum().item() for x, y in zip(images.split(500), labels.split(500)))
    return hits / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    images, labels = map(torch.from_numpy, (a.copy() for a in fashion_mnist.load("train")))
    test = [torch.from_numpy(a.copy()) for a in fashion_mnist.load("t10k")]

    model = Trained(demo_classifier.DemoClassifier()).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    steps, step, start = args.epochs * math.ceil(len(images) / 256), 0, time.monotonic()
    for epoch in range(args.epochs):
        for index in torch.randperm(len(images)).split(256):
            for group in optimiser.param_groups:
                group["lr"] = 3e-3 * min(1, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = F.cross_entropy(model(augmented(images[index].float())), labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            if step % 100 == 0:
                print(json.dumps({"step": step, "of": steps, "loss": round(loss.item(), 3),
                                  "seconds": round(time.monotonic() - start)}), flush=True)
    net = demo_classifier.DemoClassifier()
    net.load_state_dict(model.folded())
    measured = accuracy(net.eval(), *test)
    demo_classifier.save(args.out, net.state_dict(), test_accuracy=measured)
    print(json.dumps({"test_accuracy": measured, "seconds": round(time.monotonic() - start)}))


if __name__ == "__main__":
    main()
