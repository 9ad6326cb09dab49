"""Batches of pictures as networks see them, and back."""
import numpy as np
import torch
from PIL import Image

import data


def to_tensor(views, look=None):
    """(N, 3, SIDE, SIDE) in [-1, 1]. look: what becomes of each picture, (SIDE, SIDE, 3) uint8."""
    rendered = np.stack([look(data.render(view)) if look else data.render(view) for view in views])
    return torch.from_numpy(rendered).permute(0, 3, 1, 2).float() / 127.5 - 1


def save_grid(path, pictures, columns):
    """Writes (N, 3, H, W) in [-1, 1] as a PNG of rows of `columns` pictures."""
    N, C, H, W = pictures.shape
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().view(N // columns, columns, C, H, W)
    Image.fromarray(pixels.permute(0, 3, 1, 4, 2).reshape(-1, columns * W, C).numpy()).save(path)
