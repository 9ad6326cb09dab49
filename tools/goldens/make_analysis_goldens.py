"""Writes tests/golden/eval/analyses.json: spectra and similarities of small arrays, and weights of steps, by NumPy.

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


def weights(levels, sigma_data):
    """What a distance at the beginning of each step adds to the final latent (tstitch/tune/divergence.h)."""
    alpha, sigma = np.array(levels).T
    with np.errstate(divide="ignore"):
        noise = sigma / alpha
    w = np.arcsinh(noise[:-1] / sigma_data) - np.arcsinh(noise[1:] / sigma_data)
    from_noise_alone = 1 / np.sqrt(sigma_data ** 2 + noise[1:] ** 2)
    return dict(levels=levels, sigma_data=sigma_data, weights=list(np.where(np.isinf(noise[:-1]), from_noise_alone, w)))


def ddim_levels(steps):
    """Of Stable Diffusion's schedule, leading spacing, clean at the end."""
    abar = np.cumprod(1 - np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2)
    kept = [abar[1 + i * (1000 // steps)] for i in reversed(range(steps))]
    return [[float(np.sqrt(a)), float(np.sqrt(1 - a))] for a in kept] + [[1.0, 0.0]]


def main():
    shapes = [(2, 3, 28, 28), (1, 4, 32, 32), (2, 1, 12, 20), (2, 2, 21, 15), (3, 1, 7, 7), (2, 1, 1, 6), (1, 1, 1, 1)]
    sizes = [((5, 2, 6, 4), 0.1), ((3, 1, 28, 28), 2.0), ((1, 4, 8, 8), 0.01)]
    flow = [[1 - t, t] for t in (1.0, 0.75, 0.5, 0.25, 0.0)]
    FILE.write_text(json.dumps(dict(spectrum=[spectrum(s) for s in shapes],
                                    similarity=[similarity(*s) for s in sizes],
                                    weights=[weights(ddim_levels(10), 1.0), weights(ddim_levels(10), 0.5), weights(flow, 1.0)]),
                               indent=1) + "\n")


if __name__ == "__main__":
    main()
