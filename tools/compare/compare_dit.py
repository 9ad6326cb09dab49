"""How far one evaluation of a DiT is from f32: ours in bf16 and int8, PyTorch's in bf16, OpenVINO's in bf16 and int8 (NNCF).

    python3 tools/compare/compare_dit.py BUILD/bench/evaluation_bench [--weights assets/fashion-l.safetensors] [--models S/2,XL/2]

Trained weights are asked along a guided trajectory of their own (25 steps of DDIM, 16 pictures, scale 2), at seven of its levels; the
peer's ranges are found on the very inputs. Models by name have random weights and one input, 256 x 256 pixels, two rows. The error is that
of all outputs of all inputs together, in the 2-norm. Needs `pip install openvino==2026.4.0 nncf==3.4.0`.
"""
import argparse
import copy
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import demo_files
import diffusion
import dit
import openvino_peer
import random_weights

CLASS, SCALE, STEPS, PICTURES = 7, 2.0, 25, 16
ASKED = (0, 4, 8, 12, 16, 20, 24)  # of the steps


def labels(model, rows):
    """As the program answers: the first half of the rows of a class, the others of none."""
    return torch.tensor([CLASS] * (rows // 2) + [model.config["num_classes"]] * (rows - rows // 2))


@torch.inference_mode()
def along_trajectory(model):
    """[(x, t)] of the steps that are asked; x (2 PICTURES, C, H, W): both rows of each guided pair."""
    c = model.config
    schedule = diffusion.Schedule.linear().respaced(str(STEPS))
    shape = (PICTURES, c["in_channels"], c["input_size"], c["input_size"])
    x, y = torch.from_numpy(random_weights.uniform("x_T", shape, np.sqrt(3.0), 7)).double(), torch.full((PICTURES,), CLASS)
    asked = []
    for step, i in enumerate(reversed(range(STEPS))):
        t = int(schedule.timestep[i])
        if step in ASKED:
            asked.append((torch.cat([x, x]).float(), t))
        eps = diffusion.guided(lambda *given: model(given[0].float(), *given[1:]), x, t, y, SCALE, c["in_channels"], c["num_classes"])
        x = diffusion.ddim_step(schedule, i, x, eps[:, :c["in_channels"]])
    return asked


def random_model(name):
    DiT = dit.DiT
    DiT.initialise = lambda self: None
    model = random_weights.fill(DiT(dit.official(name)), "DiT-" + name)
    x = torch.from_numpy(random_weights.uniform("x", (2, 4, 32, 32), np.sqrt(3.0), 7))
    return model, [(x, 501)]


def ours(arguments, dtype, asked):
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        given, answered = (os.path.join(folder, name) for name in ("x.npy", "y.npy"))
        for x, t in asked:
            np.save(given, x.numpy())
            subprocess.run([*arguments, "--dtype", dtype, "--answer", given, "--t", str(t), "--output", answered], check=True)
            answers.append(torch.from_numpy(np.load(answered)))
    return torch.cat(answers)


def as_openvino(model, dtype, asked):
    inputs = [(x, torch.full((len(x),), t), labels(model, len(x))) for x, t in asked]
    evaluate = openvino_peer.compiled(copy.deepcopy(model), inputs[0], dtype, 2, inputs)
    return torch.cat([torch.from_numpy(evaluate(values)) for values in inputs])


@torch.inference_mode()
def as_pytorch(model, asked, kind=torch.float32):
    with torch.autocast("cpu", kind, enabled=kind != torch.float32):
        return torch.cat([model(x, torch.full((len(x),), t), labels(model, len(x))).float() for x, t in asked])


def compare(name, model, asked, arguments):
    expected = as_pytorch(model, asked)
    answers = {f"ours {dtype}": lambda dtype=dtype: ours(arguments, dtype, asked) for dtype in ("f32", "bf16", "int8")}
    answers |= {f"OpenVINO {dtype}": lambda dtype=dtype: as_openvino(model, dtype, asked) for dtype in ("bf16", "int8")}
    answers["PyTorch bf16"] = lambda: as_pytorch(model, asked, torch.bfloat16)
    for who, answer in answers.items():
        found = answer()
        error = float(torch.linalg.norm(found - expected) / torch.linalg.norm(expected))
        steps = [float(torch.linalg.norm(a - b) / torch.linalg.norm(b))
                 for a, b in zip(found.chunk(len(asked)), expected.chunk(len(asked)))]
        print(f"{name} {who}: {error:.2e}" + (f"; from noise to picture {' '.join(f'{e:.1e}' for e in steps)}" if len(asked) > 1 else ""),
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--models", default="")
    args = parser.parse_args()
    for path in args.weights:
        model = demo_files.load_model(path)
        compare(os.path.basename(path), model, along_trajectory(model), [args.bench, "--weights", path])
    for name in filter(None, args.models.split(",")):
        model, asked = random_model(name)
        compare(name, model, asked, [args.bench, "--model", "DiT-" + name])


main()
