"""Files that exist whole or not at all, whenever the process is killed."""
import contextlib
import os

import torch


@contextlib.contextmanager
def whole_file(path):
    part = f"{path}.part"
    with open(part, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def save(path, state):
    with whole_file(path) as file:
        torch.save(state, file)


def load(path):
    """None where there is no such file."""
    return torch.load(path, map_location="cpu", weights_only=True) if os.path.exists(path) else None
