"""Noise schedules, respacing, DDPM and DDIM in float64, written to be read: the oracle of the sampler goldens.

Formulas: Ho et al. (2006.11239), Song et al. (2010.02502), Nichol & Dhariwal (2102.09672); the conventions are those of
the DiT code. No command of its own.
"""
import numpy as np
import torch


class Schedule:
    """Arrays over the kept steps, lowest noise first. `timestep` maps a kept step to the network's t (0..999)."""

    def __init__(self, betas, timestep=None):
        self.timestep = np.arange(len(betas)) if timestep is None else np.array(timestep)
        self.betas = betas
        self.abar = np.cumprod(1.0 - betas)
        self.abar_prev = np.append(1.0, self.abar[:-1])
        self.posterior_variance = betas * (1 - self.abar_prev) / (1 - self.abar)
        # The first entry is zero and has no logarithm; the convention is to repeat the second one.
        clipped = np.append(self.posterior_variance[1:2], self.posterior_variance[1:]) if len(betas) > 1 else betas
        self.posterior_log_variance = np.log(clipped)
        self.posterior_mean_x0 = betas * np.sqrt(self.abar_prev) / (1 - self.abar)
        self.posterior_mean_x = (1 - self.abar_prev) * np.sqrt(1 - betas) / (1 - self.abar)

    @staticmethod
    def linear(start=1e-4, end=2e-2, steps=1000):
        return Schedule(np.linspace(start, end, steps))

    @staticmethod
    def scaled_linear(start=0.00085, end=0.012, steps=1000):
        return Schedule(np.linspace(np.sqrt(start), np.sqrt(end), steps) ** 2)

    def respaced(self, spec):
        """Keeps the timesteps that `spec` names; the new betas give the kept steps their old alpha-bars."""
        kept = respaced_timesteps(spec, len(self.betas))
        abar = self.abar[kept]
        return Schedule(1 - abar / np.append(1.0, abar[:-1]), kept)


def respaced_timesteps(spec, steps=1000):
    """"100": that many, evenly spaced; "10,20,30": that many in each third; "ddim50": the first integer stride that fits."""
    if spec.startswith("ddim"):
        for stride in range(1, steps):
            if len(range(0, steps, stride)) == int(spec[4:]):
                return list(range(0, steps, stride))
        raise ValueError(f"no integer stride keeps {spec[4:]} of {steps} steps")
    counts = [int(part) for part in spec.split(",")]
    kept, start = set(), 0
    for section, count in enumerate(counts):
        size = steps // len(counts) + (section < steps % len(counts))
        if size < count:
            raise ValueError(f"cannot keep {count} of {size} steps")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0
        for _ in range(count):  # repeated addition, not multiplication: the rounding of ties depends on it
            kept.add(start + round(position))
            position += stride
        start += size
    return sorted(kept)


def guided(model, x, t, y, scale, channels, null):
    """Classifier-free guidance on the first `channels` of eps. The rest, and the variance, are the conditional half's."""
    n, t = len(x), torch.full((2 * len(x),), int(t))
    out = model(torch.cat([x, x]), t, torch.cat([y, torch.full_like(y, null)])).double()
    cond, uncond = out[:n].clone(), out[n:]
    cond[:, :channels] = uncond[:, :channels] + scale * (cond[:, :channels] - uncond[:, :channels])
    return cond


def ddim_step(s, i, x, eps, eta=0.0, noise=None):
    abar, prev = s.abar[i], s.abar_prev[i]
    x0 = np.sqrt(1 / abar) * x - np.sqrt(1 / abar - 1) * eps
    sigma = eta * np.sqrt((1 - prev) / (1 - abar)) * np.sqrt(1 - abar / prev)
    x = np.sqrt(prev) * x0 + np.sqrt(1 - prev - sigma**2) * eps
    return x + sigma * noise if noise is not None and i > 0 else x


def ddpm_step(s, i, x, eps, v=None, noise=None):
    """v: the learned interpolation between the two variance bounds; None: the small one, fixed."""
    x0 = np.sqrt(1 / s.abar[i]) * x - np.sqrt(1 / s.abar[i] - 1) * eps
    mean = s.posterior_mean_x0[i] * x0 + s.posterior_mean_x[i] * x
    log_variance = torch.as_tensor(s.posterior_log_variance[i])
    if v is not None:
        f = (v + 1) / 2
        log_variance = f * np.log(s.betas[i]) + (1 - f) * log_variance
    return mean + torch.exp(0.5 * log_variance) * noise if i > 0 else mean


@torch.inference_mode()
def sample(pick, s, x, y, method="ddim", cfg=4.0, channels=3, eta=0.0, noise=None):
    """pick(t) -> the model that serves timestep t: the whole of T-Stitch. noise (steps, N, C, H, W), first step first.

    The state is float64; each network sees it in float32.
    """
    x = x.double()
    for step, i in enumerate(reversed(range(len(s.betas)))):
        model = pick(int(s.timestep[i]))
        out = guided(model, x.float(), s.timestep[i], y, cfg, channels, model.config["num_classes"])
        eps, v = out.chunk(2, dim=1) if model.config["learn_sigma"] else (out, None)
        z = None if noise is None else noise[step].double()
        x = ddim_step(s, i, x, eps, eta, z) if method == "ddim" else ddpm_step(s, i, x, eps, v, z)
    return x.float()
