"""Writes tests/golden/inception: what pytorch-fid's InceptionV3 answers with random_weights.py's weights.

    python3 tools/goldens/make_inception_goldens.py

Needs pytorch-fid, of which only the architecture is used. f32 on the CPU, seed 7. With TensorFlow installed, the resize
of the first graph is compared with its own; a disagreement writes nothing.
"""
import os
import pathlib
import sys

import numpy as np
import torch
from pytorch_fid import inception

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights

SEED, SIDE = 7, 299
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/inception"


def pictures(name, shape):
    """(N, H, W, 3) uint8"""
    return ((random_weights.uniform(name, shape, 1.0, SEED) + 1) * 128).astype(np.uint8)


def network():
    """fid_inception_v3() without its download."""
    load, torch.nn.Module.load_state_dict = torch.nn.Module.load_state_dict, lambda *_: None
    fetch, inception.load_state_dict_from_url = inception.load_state_dict_from_url, lambda *_, **__: None
    try:
        return random_weights.fill(inception.fid_inception_v3(), "inception", SEED)
    finally:
        torch.nn.Module.load_state_dict, inception.load_state_dict_from_url = load, fetch


def tf1_resize(x):
    """TensorFlow 1's resize_bilinear of (N, H, W, C): pixel i is read at i H / 299, in f64."""
    for axis in (1, 2):
        extent = x.shape[axis]
        at = np.arange(SIDE, dtype=np.float32) * np.float32(extent / SIDE)
        low = np.floor(at).astype(int)
        fraction = (at - low).astype(np.float64).reshape([-1 if i == axis else 1 for i in range(4)])
        x = np.take(x, low, axis) * (1 - fraction) + np.take(x, np.minimum(low + 1, extent - 1), axis) * fraction
    return x


def tf1_input(x):
    resized = tf1_resize(x.astype(np.float64))
    try:
        import tensorflow as tf

        theirs = tf.compat.v1.image.resize_bilinear(x.astype(np.float32), [SIDE, SIDE]).numpy()
        assert np.abs(theirs - resized).max() < 1e-3, np.abs(theirs - resized).max()
        print("TensorFlow agrees to", np.abs(theirs - resized).max(), "of 255")
    except ImportError:
        print("TensorFlow is not installed: its resize was not compared")
    return ((resized - 128) / 128).astype(np.float32)


def pytorch_fid_input(x):
    x = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    x = 2 * torch.nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1
    return x.permute(0, 2, 3, 1).numpy()


@torch.inference_mode()
def features(model, x):
    """The pooled features, the spatial ones and the logits without bias of (N, 299, 299, 3)."""
    seen = {}
    hook = model.Mixed_6d.branch1x1.register_forward_hook(lambda *a: seen.update(spatial=a[-1]))
    pool = model.avgpool.register_forward_hook(lambda *a: seen.update(pooled=a[-1].flatten(1)))
    logits = model(torch.from_numpy(x).permute(0, 3, 1, 2)) - model.fc.bias
    hook.remove(), pool.remove()
    spatial = seen["spatial"][:, :7].permute(0, 2, 3, 1).flatten(1)
    return dict(pooled=seen["pooled"], spatial=spatial, logits=logits)


def save(name, array):
    np.save(FOLDER / f"{name}.npy", np.ascontiguousarray(array, dtype=np.float32))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = network()
    for resize, prepare in (("tf1", tf1_input), ("pytorch_fid", pytorch_fid_input)):
        # Of a picture made larger and one made smaller, every 37th row, of it every 5th pixel.
        for name, shape in (("small", (2, 13, 9, 3)), ("large", (1, 310, 640, 3))):
            x = prepare(pictures(name, shape))
            save(f"{resize}_{name}_input", x[:, ::37, ::5])
            if name == "small":
                for key, value in features(model, x).items():
                    save(f"{resize}_{key}", value)


if __name__ == "__main__":
    main()
