"""The switching rules of T-Stitch, each in the arithmetic of the code path it describes. No command of its own.

Every rule answers: does the small model serve this step? They differ on purpose; see the project's documentation.
"""
import torch


def dit(t, r):
    """t: the original timestep, 0..999. The subtraction in double matters: 1 - 0.7 is not 0.3."""
    return t / 1000 >= 1 - r


def ldm(t, r):
    return r == 1.0 or t / 1000 > 1 - r


def step(i, n, r):
    """i: loop index from 0, n: number of network calls (Stable Diffusion and SDXL pipelines)."""
    return (i + 1) / n <= r


def lcm(i, n, r):
    """The pipeline class for LCM that no script uses."""
    if r == 0:
        return False
    return True if r == 1 else i / n <= r


def multi(t, fractions):
    """MultiTStitch: the index of the model that serves t, of any number of models. float32, as the tensors there are."""
    progress = 1 - t / 1000
    for index, bound in enumerate(torch.cumsum(torch.tensor(fractions), dim=0)):
        if progress <= bound:
            return index
    raise ValueError(f"no model for t = {t}")
