#!/usr/bin/env python3
"""Writes tests/golden/npz: arrays as NumPy saves them, for the writer to be compared with and the reader to read."""
import pathlib

import numpy as np

folder = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/npz"
folder.mkdir(parents=True, exist_ok=True)
pictures = (np.arange(3 * 4 * 5 * 3) * 7 % 256).astype(np.uint8).reshape(3, 4, 5, 3)
np.savez(folder / "samples.npz", pictures, np.array([5, 0, 999]))
np.savez_compressed(folder / "deflated.npz", pictures, mu=np.array([0.1, -1e300, 3]), half=np.array([[2], [-0.5]], np.float16),
                    ramp=(np.arange(20000) % 1000).astype(np.float32))
