#!/usr/bin/env python3
"""Writes tests/golden/torch: small checkpoints as torch.save writes them, each with the tensors it must give as safetensors.

    make_torch_files.py                          # into tests/golden/torch
    make_torch_files.py --random 500 FOLDER      # random ones for TSTITCH_TORCH_FILES=FOLDER io_test
"""
import argparse
import pathlib
from collections import OrderedDict, defaultdict
from random import Random

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/torch"


def numbers(*shape, dtype=torch.float32, start=1):
    """0.5, -1, 1.5, -2 ... (integers: 1, -2, 3 ...): exact in every type, no two alike."""
    count = int(np.prod(shape, dtype=int))
    values = torch.arange(start, start + count, dtype=torch.float64) * torch.tensor([1.0, -1.0]).repeat(count // 2 + 1)[:count]
    return (values * (0.5 if dtype.is_floating_point else 1)).to(dtype).reshape(shape)


def network(start=1):
    torch.manual_seed(start)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Conv2d(2, 2, 2), torch.nn.BatchNorm1d(4))
    for i, value in enumerate([*net.parameters(), *net.buffers()]):
        value.data = numbers(*value.shape, dtype=value.dtype, start=start + 10 * i)
    return net


class Callback:
    """Stands for a class that the reader has never heard of."""

    def __init__(self):
        self.best, self.kept = np.float64(0.25), {"path": pathlib.PurePosixPath("a/b.ckpt")}


def bare():
    tensors = {"weight": numbers(2, 3), "bias": numbers(2)}
    return tensors, tensors


def state_dict():
    net = network()
    return net.state_dict(), net.state_dict()


def dit_training():
    """As train.py of DiT saves: the average is what a sampler wants."""
    model, ema = network(1), network(2)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    arguments = argparse.Namespace(model="DiT-S/2", image_size=256, ckpt=None, lr=1e-4, betas=(0.9, 0.999))
    return {"model": model.state_dict(), "ema": ema.state_dict(), "opt": optimizer.state_dict(), "args": arguments}, ema.state_dict()


def lightning():
    """As Lightning saves latent diffusion models, the average beside the weights under names without dots."""
    tensors = OrderedDict()
    for name, value in network().state_dict().items():
        tensors["model.diffusion_model." + name] = value
        tensors["model_ema.diffusion_model" + name.replace(".", "")] = value * 2
    tensors["model_ema.decay"], tensors["model_ema.num_updates"] = torch.tensor(0.9999), torch.tensor(7, dtype=torch.int32)
    return {
        "epoch": 3,
        "global_step": 2**40,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": tensors,
        "callbacks": {Callback: {"monitor": "val/loss", "best": Callback()}},
        "optimizer_states": [{"state": {0: {"step": 5, "exp_avg": numbers(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}],
        "lr_schedulers": [defaultdict(list, a=[1, 2.5, None, True, b"bytes"])],
        "hparams": np.random.RandomState(0).get_state()[1][:3],
    }, tensors


def types():
    tensors = {
        str(dtype)[6:]: numbers(2, 3, dtype=dtype)
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8)
    }
    tensors["uint8"] = torch.arange(5, dtype=torch.uint8)
    tensors["bool"] = torch.tensor([True, False])
    tensors["uint16"] = torch.arange(5).to(torch.uint16)
    tensors["float8_e4m3fn"] = numbers(4).to(torch.float8_e4m3fn)
    tensors["float8_e5m2"] = numbers(4).to(torch.float8_e5m2)
    return tensors, tensors


def views():
    """One storage under many names: transposed, cut, expanded, overlapping, empty."""
    base = numbers(4, 6)
    tensors = {
        "base": base,
        "tied": base,
        "transposed": base.T,
        "column": base[:, 2],
        "row": base[1],
        "every_second": base[::2, 1::3],
        "windows": base.reshape(-1).unfold(0, 4, 2),
        "expanded": base[:1, :1].expand(3, 5),
        "permuted": numbers(2, 3, 4).permute(2, 0, 1),
        "channels_last": numbers(2, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "one_wide": numbers(3, 1).T,
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(2, 0, 3),
        "element": base[3, 5],
    }
    return tensors, tensors


def parameters():
    with_attribute = torch.nn.Parameter(numbers(2, 2))
    with_attribute.note = "attribute"
    tensor = numbers(3, dtype=torch.bfloat16)
    tensor.tag = OrderedDict(a=1)
    tensors = OrderedDict(parameter=torch.nn.Parameter(numbers(2)), with_attribute=with_attribute, tensor=tensor)
    return tensors, tensors


def nested():
    tensors = {"module._orig_mod." + name: value for name, value in network().state_dict().items()}
    return {"step": torch.tensor(9), "state_dict": {"model": tensors, "other": 1}}, network().state_dict()


def with_protocol(protocol):
    def case():
        tensors = OrderedDict(weight=numbers(2, 3), bias=torch.nn.Parameter(numbers(2)))
        content = {"state_dict": tensors, "args": argparse.Namespace(a=[1, -1, 300, 70000, 2**33, 2**80], b={"x", "y"}, c=frozenset([1]))}
        return content, tensors, dict(pickle_protocol=protocol)

    return case


CASES = {
    "bare": bare,
    "state_dict": state_dict,
    "dit_training": dit_training,
    "lightning": lightning,
    "types": types,
    "views": views,
    "parameters": parameters,
    "nested": nested,
    **{f"protocol{protocol}": with_protocol(protocol) for protocol in (1, 2, 3, 4, 5)},
}



def random_view(random):
    """A random part of a random tensor, seen in a random way."""
    dtype = random.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.float64])
    view = torch.randn([random.randint(1, 5) for _ in range(random.randint(0, 5))], dtype=torch.float64).to(dtype)
    for _ in range(random.randint(0, 4)):
        axis = random.randrange(view.dim()) if view.dim() else None
        change = random.randrange(6)
        if axis is None:
            view = view.expand(random.randint(0, 3)) if change == 0 else view
        elif change == 0:
            view = view.permute(random.sample(range(view.dim()), view.dim()))
        elif change == 1:
            view = view.narrow(axis, random.randrange(view.shape[axis] + 1), 0) if random.random() < 0.1 else view.select(axis, -1) if view.shape[axis] else view
        elif change == 2:
            view = view[(slice(None),) * axis + (slice(random.randrange(3), None, random.randint(1, 3)),)]
        elif change == 3 and view.dim() < 6:
            view = view.unsqueeze(axis)
        elif change == 4 and view.shape[axis]:
            view = view.unfold(axis, random.randint(1, view.shape[axis]), random.randint(1, 2)) if view.dim() < 6 else view
        elif change == 5 and view.shape[axis] == 1:
            view = view.expand([random.randint(1, 4) if i == axis else -1 for i in range(view.dim())])
    return torch.nn.Parameter(view) if random.random() < 0.3 else view


def random_case(seed):
    random = Random(seed)
    torch.manual_seed(seed)

    def case():
        tensors = (OrderedDict if random.random() < 0.5 else dict)()
        for i in range(random.randint(1, 30)):
            shared = random.choice(list(tensors.values())) if tensors and random.random() < 0.2 else None
            tensors[f"layers.{i}.{random.choice(['weight', 'bias', 'ä', ''])}"] = random_view(random) if shared is None else shared
        content = tensors
        for key in random.sample(["state_dict", "model", "ema", "params", "net", "module"], random.randint(0, 3)):
            content = {"epoch": seed, key: content, "args": argparse.Namespace(x=[1.5, "y"]), "rng": torch.get_rng_state()[:16] if key == "ema" else None}
        return content, tensors, dict(pickle_protocol=random.choice([1, 2, 2, 2, 3, 4, 5]))

    return case


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER)
    parser.add_argument("--random", type=int)
    options = parser.parse_args()
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    cases = CASES if options.random is None else {f"random{seed}": random_case(seed) for seed in range(options.random)}
    for name, case in cases.items():
        content, expected, *saving = case()
        torch.save(content, folder / f"{name}.pt", **(saving[0] if saving else {}))
        tensors = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in expected.items()}
        save_file(tensors, folder / f"{name}.safetensors")
