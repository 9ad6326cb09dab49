"""Writes .npz files anew, compressed, as the statistics in assets/ are: `tstitch eval --save-stats` compresses nothing.

    python3 tools/assets/compress_npz.py FILE ...
"""
import sys

import numpy as np

if __name__ == "__main__":
    for path in sys.argv[1:]:
        with np.load(path) as file:
            arrays = dict(file)
        np.savez_compressed(path, **arrays)
