"""Writes tests/golden/eval: metrics of small sets of features by NumPy and SciPy.

    python3 tools/goldens/make_eval_goldens.py

The features are made here and in the tests from tools/common/random_weights.py; only the answers are stored.
"""
import json
import os
import pathlib
import sys

import numpy as np
from scipy import linalg, special

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from random_weights import uniform

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/eval"
SEED = 7


def features(name, count, width, shift=0.0):
    """Rows whose columns differ in size and hang together: x_j / (1 + j) + x_(j-1) / 2 + shift."""
    x = uniform(f"eval/{name}", (count, width), np.sqrt(3.0), SEED).astype(np.float64)
    return (x / (1 + np.arange(width)) + 0.5 * np.roll(x, 1, axis=1) + shift).astype(np.float32)


def frechet(x, y):
    """As the evaluator of ADM treats it: unbiased covariances, sqrtm of the product, 1e-6 on the diagonals if that fails."""
    (mu1, sigma1), (mu2, sigma2) = (gaussian(a) for a in (x, y))
    root = linalg.sqrtm(sigma1 @ sigma2)
    if not np.isfinite(root).all():
        offset = np.eye(len(sigma1)) * 1e-6
        root = linalg.sqrtm((sigma1 + offset) @ (sigma2 + offset))
    return float(((mu1 - mu2) ** 2).sum() + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(root).real)


def gaussian(x):
    x = x.astype(np.float64)
    return x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False))


def inception_score(logits, split):
    p = special.softmax(logits.astype(np.float64), axis=1)
    scores = []
    for begin in range(0, len(p), split):
        part = p[begin:begin + split]
        scores.append(np.exp(special.rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()))
    return float(np.mean(scores))


def distances(x, y):
    return ((x.astype(np.float64)[:, None] - y.astype(np.float64)[None]) ** 2).sum(axis=2)


def precision_recall(reference, samples, k):
    radius = [np.partition(distances(a, a), k, axis=1)[:, k] for a in (reference, samples)]
    across = distances(samples, reference)
    return int((across <= radius[0]).any(axis=1).sum()), int((across <= radius[1][:, None]).any(axis=0).sum())


def neighbour_sets(count, width):
    """A reference with twins, and samples of which some are reference images."""
    x, y = features("reference", count, width), features("samples", count - 20, width, 0.4)
    x[1], x[-1] = x[0], x[3]
    y[:5] = x[10:15]
    return x, y


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = {"frechet": [], "inception_score": [], "precision_recall": []}
    for a, b, width, shift in [(200, 300, 1, 0.1), (200, 300, 16, 0.1), (600, 500, 64, 0.3), (500, 500, 64, 0.0),
                               (20, 30, 64, 0.2), (10, 900, 48, 0.2), (900, 10, 48, 0.2), (2, 2, 8, 0.5)]:
        x, y = features("a", a, width), features("b", b, width, shift)
        cases["frechet"].append(dict(a=a, b=b, width=width, shift=shift, distance=frechet(x, y), trace=float(np.trace(gaussian(x)[1]))))
    for count, classes, split in [(12, 10, 5), (10, 10, 5), (7, 33, 5000), (1, 4, 5)]:
        logits = uniform("eval/logits", (count, classes), 3.0, SEED)
        cases["inception_score"].append(dict(count=count, classes=classes, split=split, score=inception_score(logits, split)))
    for count, width, k in [(60, 3, 3), (300, 24, 3), (300, 24, 1), (400, 2, 5)]:
        x, y = neighbour_sets(count, width)
        precise, recalled = precision_recall(x, y, k)
        cases["precision_recall"].append(dict(count=count, width=width, k=k, precise=precise, recalled=recalled))
    (FOLDER / "metrics.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
