"""Reads Fashion-MNIST (MIT licence) from the Debian package `dataset-fashion-mnist`. No command of its own."""
import gzip
import os

import numpy as np

FOLDER = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")  # where Debian puts it


def read_idx(name, header):
    with gzip.open(os.path.join(FOLDER, name)) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def load(split):
    """split "train" (60000) or "t10k" (10000, held out) -> images uint8 (N, 1, 28, 28), labels int64 (N,)"""
    images = read_idx(f"{split}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return images, read_idx(f"{split}-labels-idx1-ubyte.gz", 8).astype(np.int64)
