"""Weights that need no file: a pure function of (tensor name, seed), the same here and in C++.

    python3 tools/common/random_weights.py            prints known values, to check another implementation against

For a tensor named s and a 64-bit seed k:
  key   = FNV1a64(utf-8 of s) xor k; the Philox4x32-10 key is (low half, high half)
  block b = 0, 1, ... has counter (low half of b, high half of b, 0, 0) and gives elements 4b .. 4b+3
  value = float32((double(u >> 8) * 2^-23 - 1) * scale), row-major in the official PyTorch shape

u >> 8 keeps 24 bits, so the double arithmetic is exact up to the scale and every platform rounds alike.
"""
import numpy as np

LOW = np.uint64(0xFFFFFFFF)


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def philox4x32(counter, key):
    """Philox4x32-10 (Salmon et al., SC 2011). counter (blocks, 4) and key (2,), 32-bit words -> (blocks, 4) uint32."""
    c0, c1, c2, c3 = (word.astype(np.uint64) for word in np.asarray(counter).T)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), p1 & LOW, (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1), p0 & LOW
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def uniform(name, shape, scale, seed):
    """float32 in [-scale, scale), of the given shape. scale sqrt(3) gives unit variance."""
    count = int(np.prod(shape))
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(block)
    key = fnv1a64(name) ^ seed
    words = philox4x32(np.stack([block & LOW, block >> np.uint64(32), zero, zero], axis=1), (key % 2**32, key >> 32))
    value = ((words.reshape(-1)[:count] >> np.uint32(8)).astype(np.float64) * 2.0**-23 - 1.0) * scale
    return value.astype(np.float32).reshape(shape)


def weight_scale(name, shape):
    """Keeps activations near unit size through the depth, and every part of the network at work."""
    if name.endswith((".bias", ".running_mean")):
        return 0.05
    if name.endswith((".bn.weight", ".running_var")):
        return 0.5
    if name == "y_embedder.embedding_table.weight":
        return 0.5
    fan_in = int(np.prod(shape[1:]))
    return (0.5 if "adaLN_modulation" in name else 1.0) * np.sqrt(3.0 / fan_in)


def weight_center(name):
    """What the weights of batch norms lie around: sqrt(2) makes up for the half that a ReLU takes."""
    return np.float32(1.4 if name.endswith(".bn.weight") else 1.0 if name.endswith(".running_var") else 0.0)


def fill(model, tag, seed=7):
    """Fills a model in place. The tag ("S/8", "tiny", ...) goes before the tensor's name, so that models differ."""
    import torch

    statistics = [(name, buffer) for name, buffer in model.named_buffers() if name.endswith((".running_mean", ".running_var"))]
    for name, tensor in [*model.named_parameters(), *statistics]:
        shape = tuple(tensor.shape)
        values = uniform(f"{tag}/{name}", shape, weight_scale(name, shape), seed) + weight_center(name)
        tensor.data = torch.from_numpy(values)
    return model.eval()


if __name__ == "__main__":
    print("philox(0,0):", [f"{word:08x}" for word in philox4x32(np.zeros((1, 4), np.uint32), (0, 0))[0]])
    print("philox(ff..):", [f"{word:08x}" for word in philox4x32(np.full((1, 4), 2**32 - 1, np.uint32), (2**32 - 1,) * 2)[0]])
    print("fnv1a64('x_T'):", f"{fnv1a64('x_T'):016x}")
    print("uniform('x_T', 6, sqrt 3, 7):", [float(value) for value in uniform("x_T", (6,), np.sqrt(3.0), 7)])
    name, shape = "blocks.0.attn.qkv.weight", (1152, 384)
    print(f"uniform('S/8/{name}')[:4]:", [float(v) for v in uniform(f"S/8/{name}", (4,), weight_scale(name, shape), 7)])
