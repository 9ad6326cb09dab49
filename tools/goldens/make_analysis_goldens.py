"""Writes tests/golden/eval/analyses.json: spectra and similarities of small arrays by NumPy.

    python3 tools/goldens/make_analysis_goldens.py

The arrays are made here and in the tests from tools/common/random_weights.py; only the answers are stored.
"""
import json
import os
import pathlib
import sys

import numpy as np

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from random_weights import uniform

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/eval/analyses.json"


def array(name, shape):
    return uniform(f"eval/{name}", shape, np.sqrt(3.0), 7).astype(np.float64)


def log_amplitude(x):
    return np.log(np.abs(np.fft.fft2(x)) + 1e-6).mean(axis=(0, 1))


def radial(amplitude):
    """The mean over rings one frequency of the shorter side wide, up to the highest that side holds."""
    height, width = amplitude.shape
    side = min(height, width)
    radius = side * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    ring = np.floor(radius + 0.5)
    return [amplitude[ring == k].mean() for k in range(side // 2 + 1)]


def diagonal(amplitude):
    """What T-Stitch's plot shows: the diagonal from the middle of the shifted spectrum."""
    height, width = amplitude.shape
    middle = (height // 2, width // 2)
    return np.roll(amplitude, middle, axis=(0, 1)).diagonal()[height // 2:][:height // 2] if height == width else []


def spectrum(shape):
    amplitude = log_amplitude(array("latents", shape))
    return dict(shape=shape, radial=list(radial(amplitude)), diagonal=list(diagonal(amplitude)))


def similarity(shape, noise):
    a = array("first", shape)
    b = a + noise * array("second", shape)
    a, b = (x.astype(np.float32).astype(np.float64).reshape(shape[0], -1) for x in (a, b))
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return dict(shape=shape, noise=noise, cosine_mean=cosine.mean(),
                cosine_deviation=cosine.std(ddof=1) if len(a) > 1 else 0.0,
                mse=((a - b) ** 2).mean(), relative_mse=((a - b) ** 2).sum() / (b ** 2).sum())


def main():
    shapes = [(2, 3, 28, 28), (1, 4, 32, 32), (2, 1, 12, 20), (2, 2, 21, 15), (3, 1, 7, 7), (2, 1, 1, 6), (1, 1, 1, 1)]
    sizes = [((5, 2, 6, 4), 0.1), ((3, 1, 28, 28), 2.0), ((1, 4, 8, 8), 0.01)]
    FILE.write_text(json.dumps(dict(spectrum=[spectrum(s) for s in shapes],
                                    similarity=[similarity(*s) for s in sizes]), indent=1) + "\n")


if __name__ == "__main__":
    main()
