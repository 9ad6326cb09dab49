#!/usr/bin/env python3
"""Writes tests/golden/npz/samples.npz: pictures and labels as NumPy saves them, for the writer to be compared with."""
import pathlib

import numpy as np

folder = pathlib.Path(__file__).parent.parent / "tests/golden/npz"
folder.mkdir(parents=True, exist_ok=True)
pictures = (np.arange(3 * 4 * 5 * 3) * 7 % 256).astype(np.uint8).reshape(3, 4, 5, 3)
np.savez(folder / "samples.npz", pictures, np.array([5, 0, 999]))
