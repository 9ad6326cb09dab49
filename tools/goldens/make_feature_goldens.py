"""Writes tests/golden/eval/features.json and pictures.npz: the demo family's feature network and its metrics by PyTorch and SciPy.

    python3 tools/goldens/make_feature_goldens.py

The pictures are blurred noise with a frame, not photographs; the reference is the shipped one (assets/fashion-reference.npz).
"""
import json
import os
import pathlib
import sys

import numpy as np
import torch
from scipy import linalg

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import demo_classifier
from make_eval_goldens import distances, frechet, inception_score
from random_weights import uniform

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/eval"
COUNT, SHOWN = 64, 2


def pictures():
    x = uniform("eval/pictures", (COUNT, 28, 28), 1.0, 7)
    for axis in (1, 2):
        x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    x *= np.linspace(0.2, 3, COUNT)[:, None, None]
    x[:, 4:24, 8:20] += 0.5
    return (127.5 + 127.5 * np.clip(x, -1, 1)).astype(np.uint8)[..., None]


def neighbour_radii(x):
    return np.concatenate([np.partition(distances(part, x), 3, axis=1)[:, 3] for part in np.array_split(x, max(1, len(x) // 50))])


def frechet_to(x, mu, sigma):
    mean, covariance = x.astype(np.float64).mean(axis=0), np.cov(x.astype(np.float64), rowvar=False)
    return float(((mean - mu) ** 2).sum() + np.trace(covariance) + np.trace(sigma) - 2 * np.trace(linalg.sqrtm(covariance @ sigma)).real)


if __name__ == "__main__":
    x = pictures()
    model = demo_classifier.load(ROOT / "assets/fashion-features.safetensors")
    with torch.inference_mode():
        pooled, spatial, logits = (a.numpy() for a in model(torch.from_numpy(x).permute(0, 3, 1, 2).float()))
    reference = np.load(ROOT / "assets/fashion-reference.npz")
    across = np.concatenate([distances(part, reference["features"]) for part in np.array_split(pooled, 16)])
    answers = dict(pooled=pooled[:SHOWN].ravel(), spatial=spatial[:SHOWN].ravel(), logits=logits[:SHOWN].ravel(),
                   fid=frechet_to(pooled, reference["mu"], reference["sigma"]),
                   sfid=frechet_to(spatial, reference["mu_s"], reference["sigma_s"]),
                   precision=(across <= neighbour_radii(reference["features"])).any(axis=1).mean(),
                   recall=(across <= neighbour_radii(pooled)[:, None]).any(axis=0).mean())
    answers["is"] = inception_score(logits, 5000)
    rounded = {key: [float(f"{v:.7g}") for v in value] if np.ndim(value) else float(value) for key, value in answers.items()}
    (FOLDER / "features.json").write_text(json.dumps(rounded) + "\n")
    np.savez_compressed(FOLDER / "pictures.npz", arr_0=x)
