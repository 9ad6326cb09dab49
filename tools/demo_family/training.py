"""What every training here shares: optimiser, learning rate, running average, and how to be stopped and to go on."""
import argparse
import copy
import json
import math
import signal
import time

import numpy as np
import torch

import checkpoint


def parser_from_words_l(doc, *, out, pictures, shards):
    """What every training that starts from exported weights of words-l is told."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="~/words", help="folder of the results; default %(default)s")
    parser.add_argument("--start", required=True, help="the exported folder of words-l")
    parser.add_argument("--out", required=True, help=out)
    parser.add_argument("--pictures", type=int, default=pictures, help="the whole budget; default %(default)s")
    parser.add_argument("--shards", type=int, default=shards, help="of 2,048 views, each made once; default %(default)s")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-seconds", type=float, default=600)
    return parser


def autocast(device):
    """bf16 where it is fast; with channels-last convolutions 1.8 times the pictures on a core with AMX."""
    fast = device != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device, torch.bfloat16, enabled=fast)


class Training:
    """Modules that learn for a number of steps; goes on from the file `path` if it is there.

    AdamW; the learning rate warms up, then falls along a cosine to zero at the last step, so a run of any length is
    complete.
    """

    def __init__(self, path, modules, *, steps, peak_rate, warm_up, decay, seed):
        self.path, self.modules, self.steps, self.seed = path, modules, steps, seed
        self.peak_rate, self.warm_up = peak_rate, warm_up
        self.average = Average(modules, decay)
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        self.step, self.best = 0, math.inf  # best: the lowest held-out error so far, for those who measure one
        self.stopped, self.loss, self.since = StopRequest(), None, None
        if state := checkpoint.load(path):
            for module, saved in zip([*modules, *self.average.modules], state["modules"], strict=True):
                module.load_state_dict(saved)
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.best = state["step"], state["best"]

    def save(self):
        modules = [module.state_dict() for module in [*self.modules, *self.average.modules]]
        optimiser = self.optimiser.state_dict()
        checkpoint.save(self.path, dict(modules=modules, optimiser=optimiser, step=self.step, best=self.best))

    def goes_on(self):
        return self.step < self.steps and not self.stopped

    def draws(self):
        """NumPy's and PyTorch's generators for this step. They follow from the seed and the step alone: a run that was
        killed and resumed draws what it would have drawn."""
        return np.random.default_rng([self.seed, self.step]), torch.Generator().manual_seed(self.seed << 32 | self.step)

    def rate(self):
        warm = min(1, (self.step + 1) / self.warm_up)
        return self.peak_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))

    def update(self, loss):
        """One step down the gradient of `loss`."""
        self.since = self.since or (self.step, time.monotonic(), time.process_time())
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.step += 1
        self.average.update(self.step)
        self.loss = loss.item() if self.loss is None else 0.98 * self.loss + 0.02 * loss.item()

    def steps_left(self, batch, seconds, keep=None, every=50):
        """The steps that are left, one by one; the caller's loop takes each of them by update(). Every so many seconds of
        the processor's time and at the end what there is is kept (default: save). Ends the program when it was stopped."""
        keep, due = keep or self.save, Clock(seconds)
        while self.goes_on():
            yield self.step
            self.log(batch, every)
            if due():
                keep()
        keep()
        if self.stopped:
            raise SystemExit("stopped; the same command goes on")

    def log(self, batch, every=50):
        if self.step % every == 0:
            first, start, cpu_start = self.since
            pictures = (self.step - first) * batch
            log(step=self.step, loss=self.loss, lr=self.rate(),
                pictures_per_second=pictures / (time.monotonic() - start),
                pictures_per_cpu_second=pictures / (time.process_time() - cpu_start))


class Average:
    """An exponential moving average of modules' parameters; its memory grows from short to `decay`."""

    def __init__(self, modules, decay):
        self.decay, self.sources = decay, modules
        self.modules = [copy.deepcopy(module).eval().requires_grad_(False) for module in modules]

    @torch.no_grad()  # or it would remember every step it is made of
    def update(self, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, source in zip(self.modules, self.sources):
            torch._foreach_lerp_(list(average.parameters()), list(source.parameters()), 1 - decay)


class Clock:
    """True once every `seconds` of the processor's time: what is due then would else take all the time there is where
    others leave little of it."""

    def __init__(self, seconds):
        self.seconds, self.last = seconds, time.process_time()

    def __call__(self):
        now = time.process_time()
        due = now - self.last >= self.seconds
        if due:
            self.last = now
        return due


class StopRequest:
    """True after SIGTERM or SIGINT: the training then saves and ends by itself."""

    def __init__(self):
        self.asked = False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.ask)

    def ask(self, *_):
        self.asked = True

    def __bool__(self):
        return self.asked


def log(**fields):
    """A line of JSON, numbers to six digits."""
    print(json.dumps({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in fields.items()}), flush=True)
