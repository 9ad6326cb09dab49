"""Fashion-MNIST's test set as an .npz of pictures, for the reference statistics that the program ships.

    python3 tools/assets/make_fashion_reference.py test.npz
    tstitch eval test.npz --save-stats assets/fashion-reference.npz
    python3 tools/assets/compress_npz.py assets/fashion-reference.npz
"""
import os
import sys

import numpy as np

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import fashion_mnist

if __name__ == "__main__":
    images, labels = fashion_mnist.load("t10k")
    np.savez(sys.argv[1], arr_0=images.transpose(0, 2, 3, 1), arr_1=labels)
