"""Writes the golden tensors of tests/golden/dit: what PyTorch answers for DiTs with random_weights.py's weights.

    python3 tools/goldens/make_goldens.py

Everything is f32 on the CPU (sampler state f64), seed 7. Two oracles speak for each case: diffusers' DiT and schedulers,
and the plain code of dit.py and diffusion.py. They must agree, or nothing is written.
"""
import json
import os
import sys

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DiTTransformer2DModel

import diffusers.schedulers.scheduling_ddpm as diffusers_ddpm

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights
import switch_rules
from diffusion import Schedule, ddim_step, ddpm_step, respaced_timesteps, sample
from dit import DiT, official

SEED = 7
FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden", "dit")
TINY = dict(input_size=28, patch_size=4, in_channels=1, hidden_size=64, depth=2, num_heads=4, mlp_ratio=4.0,
            num_classes=10, learn_sigma=True)
CONFIGS = {"S/8": official("S/8"), "B/4": official("B/4"), "B/8": official("B/8"), "tiny": TINY,
           "tiny-nosigma": TINY | dict(patch_size=2, learn_sigma=False)}
agreement = {}  # what was checked -> largest relative difference seen; goes into cases.json


def model_of(tag):
    return random_weights.fill(DiT(CONFIGS[tag]), tag, SEED)


def inputs(name, tag, *leading):
    """x_T or noise for a model, images last: (*leading, C, H, W)"""
    c = CONFIGS[tag]
    shape = (*leading, c["in_channels"], c["input_size"], c["input_size"])
    return torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), SEED))


def check(what, a, b, tolerance):
    difference = ((a - b).abs().max() / b.abs().max()).item()
    agreement[what] = difference
    print(f"{difference:9.2e}  {what}")
    assert difference <= tolerance, what


def save(name, tensor):
    np.save(os.path.join(FOLDER, name + ".npy"), tensor.numpy().astype(np.float32))


def as_diffusers(model):
    """The same network as diffusers builds it."""
    c = model.config
    twin = DiTTransformer2DModel(
        num_attention_heads=c["num_heads"], attention_head_dim=c["hidden_size"] // c["num_heads"], in_channels=c["in_channels"],
        out_channels=model.out_channels, num_layers=c["depth"], sample_size=c["input_size"], patch_size=c["patch_size"],
        num_embeds_ada_norm=c["num_classes"], norm_eps=1e-6)  # its default 1e-5 is not the DiT's
    ours, theirs = model.state_dict(), {}
    for part in ("weight", "bias"):
        theirs[f"pos_embed.proj.{part}"] = ours[f"x_embedder.proj.{part}"]
        theirs[f"proj_out_1.{part}"] = ours[f"final_layer.adaLN_modulation.1.{part}"]
        theirs[f"proj_out_2.{part}"] = ours[f"final_layer.linear.{part}"]
        for i in range(c["depth"]):
            a, b = f"transformer_blocks.{i}.", f"blocks.{i}."
            for name, third in zip(("to_q", "to_k", "to_v"), ours[b + f"attn.qkv.{part}"].chunk(3)):
                theirs[a + f"attn1.{name}.{part}"] = third
            theirs[a + f"attn1.to_out.0.{part}"] = ours[b + f"attn.proj.{part}"]
            theirs[a + f"ff.net.0.proj.{part}"] = ours[b + f"mlp.fc1.{part}"]
            theirs[a + f"ff.net.2.{part}"] = ours[b + f"mlp.fc2.{part}"]
            theirs[a + f"norm1.linear.{part}"] = ours[b + f"adaLN_modulation.1.{part}"]
            theirs[a + f"norm1.emb.timestep_embedder.linear_1.{part}"] = ours[f"t_embedder.mlp.0.{part}"]
            theirs[a + f"norm1.emb.timestep_embedder.linear_2.{part}"] = ours[f"t_embedder.mlp.2.{part}"]
            theirs[a + "norm1.emb.class_embedder.embedding_table.weight"] = ours["y_embedder.embedding_table.weight"]
    twin.load_state_dict(theirs)
    for block in twin.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0  # diffusers divides by 127, the DiT by 128
    return twin.eval()


@torch.inference_mode()
def forward_case(tag, name, classes):
    """Two images, the second without a class. The golden is diffusers' answer."""
    model, x, t, y = model_of(tag), inputs("x_T", tag, 2), torch.tensor([501, 501]), torch.tensor(classes)
    twin = as_diffusers(model)
    stages = {}
    twin.transformer_blocks[0].register_forward_hook(lambda _, __, out: stages.update(block0=out))
    out = twin(x, t, y).sample
    condition = twin.transformer_blocks[0].norm1.emb(t, y, hidden_dtype=torch.float32)
    check(f"{tag} forward, dit.py against diffusers", model(x, t, y), out, 1e-5)
    check(f"{tag} condition, dit.py against diffusers", model.condition(t, y), condition, 1e-5)
    check(f"{tag} block 0, dit.py against diffusers", model.blocks[0](model.embed(x), condition), stages["block0"], 1e-5)
    exact = model.double()(x.double(), t, y)
    check(f"{tag} forward, f32 against f64", out, exact, 1e-5)
    save(f"{name}_forward", out)
    save(f"{name}_condition", condition)
    save(f"{name}_block0", stages["block0"])


class Float64:
    """A network that computes in f64, to see what f32 costs over a trajectory."""

    def __init__(self, model):
        self.model, self.config = model.double(), model.config

    def __call__(self, x, t, y):
        return self.model(x.double(), t, y)


def sample_case(name, tags, classes, method, cfg, channels, eta=0.0, noisy=False, ratio=None, fractions=None):
    """Samples two images in ten steps and saves the final state. Returns the case's description."""
    def pick_index(t):
        if fractions:
            return switch_rules.multi(t, fractions)
        return 0 if ratio is None or switch_rules.dit(t, ratio) else 1

    schedule = Schedule.linear().respaced("10")
    x = inputs("x_T", tags[0], 2)
    noise = inputs("noise", tags[0], 10, 2) if noisy else None
    models = [model_of(tag) for tag in tags]
    arguments = dict(s=schedule, x=x, y=torch.tensor(classes), method=method, cfg=cfg, channels=channels, eta=eta, noise=noise)
    final = sample(lambda t: models[pick_index(t)], **arguments)
    exact = [Float64(model) for model in models]
    check(f"{name}, f32 networks against f64", final, sample(lambda t: exact[pick_index(t)], **arguments), 2e-4)
    save(name, final)
    timesteps = [int(t) for t in reversed(schedule.timestep)]
    return dict(file=name + ".npy", models=tags, classes=classes, sampler=method, steps=10, cfg_scale=cfg, cfg_channels=channels,
                eta=eta, noise=noisy, ratio=ratio, fractions=fractions, timesteps=timesteps,
                model_per_step=[tags[pick_index(t)] for t in timesteps], max_abs=final.abs().max().item())


@torch.inference_mode()
def check_samplers():
    """Our two solvers against diffusers' schedulers, which get our respaced betas by hand: their own spacing differs."""
    schedule, y = Schedule.linear().respaced("10"), torch.tensor([207, 360])
    model, x_T, noise = model_of("S/8"), inputs("x_T", "S/8", 2), inputs("noise", "S/8", 10, 2)
    settings = dict(num_train_timesteps=10, trained_betas=schedule.betas.tolist(), clip_sample=False)
    ddim = DDIMScheduler(**settings)
    ddpm = DDPMScheduler(**settings, variance_type="learned_range")
    current = {}
    diffusers_ddpm.randn_tensor = lambda *_, **__: current["noise"]

    def theirs(step_of):
        x = x_T
        for step, i in enumerate(reversed(range(10))):
            current["noise"] = noise[step]
            x = step_of(model(x, torch.full((2,), int(schedule.timestep[i])), y), i, x)
        return x

    def ours(**arguments):
        return sample(lambda t: model, schedule, x_T, y, cfg=1.0, **arguments)

    for scheduler in (ddim, ddpm):
        scheduler.set_timesteps(10)
    check("DDIM eta 0, diffusion.py against diffusers", ours(),
          theirs(lambda out, i, x: ddim.step(out[:, :4], i, x).prev_sample), 1e-4)
    check("DDIM eta 0.7, diffusion.py against diffusers", ours(eta=0.7, noise=noise),
          theirs(lambda out, i, x: ddim.step(out[:, :4], i, x, eta=0.7, variance_noise=current["noise"]).prev_sample), 1e-4)
    check("DDPM learned range, diffusion.py against diffusers", ours(method="ddpm", noise=noise),
          theirs(lambda out, i, x: ddpm.step(out, i, x).prev_sample), 1e-4)


def solver_steps():
    """Each of the ten steps on its own, from unit-size inputs. A trajectory of a random network grows to ~1000, where a slip
    in the last steps (is the noise masked? which abar_prev?) would hide in the rounding; here nothing hides."""
    schedule, shape = Schedule.linear().respaced("10"), (10, 2, 1, 4, 4)
    x, eps, noise = (torch.from_numpy(random_weights.uniform(name, shape, np.sqrt(3.0), SEED)).double()
                     for name in ("step/x", "step/eps", "step/noise"))
    v = torch.from_numpy(random_weights.uniform("step/v", shape, 1.0, SEED)).double()
    rules = {
        "ddim": lambda i: ddim_step(schedule, i, x[i], eps[i]),
        "ddim_eta0.7": lambda i: ddim_step(schedule, i, x[i], eps[i], 0.7, noise[i]),
        "ddpm_learned": lambda i: ddpm_step(schedule, i, x[i], eps[i], v[i], noise[i]),
        "ddpm_small": lambda i: ddpm_step(schedule, i, x[i], eps[i], None, noise[i]),
    }
    for name, rule in rules.items():
        save(f"step_{name}", torch.stack([rule(i) for i in range(10)]))


def schedules():
    """Respaced timesteps and alpha-bars; the latter as text of 17 digits, which names a double exactly."""
    specs = ["10", "20", "25", "50", "100", "250", "1000", "10,20,30", "ddim25", "ddim50"]
    result = {"timesteps": {spec: respaced_timesteps(spec) for spec in specs}, "alphas_cumprod": {}}
    for name, ours, settings in (
            ("linear", Schedule.linear(), dict(beta_start=1e-4, beta_end=2e-2, beta_schedule="linear")),
            ("scaled_linear", Schedule.scaled_linear(), dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"))):
        check(f"alphas_cumprod {name}, f64 against diffusers' f32", torch.from_numpy(ours.abar),
              DDIMScheduler(**settings).alphas_cumprod.double(), 1e-6)
        result["alphas_cumprod"][name] = {str(i): f"{ours.abar[i]:.17g}" for i in (0, 1, 2, 10, 100, 250, 500, 750, 998, 999)}
    return result


def switch_counts():
    """How many steps the small model serves, for r = 0, 0.1, ..., 1, by each rule."""
    ratios = [k / 10 for k in range(11)]

    def ldm_timesteps(steps):
        return [t + 1 for t in range(0, 1000, 1000 // steps)]

    multi = {}
    for fractions in ((0.4, 0.2, 0.4), (0.5, 0.3, 0.2), (0.0, 0.5, 0.5), (0.1, 0.0, 0.9), (1.0, 0.0, 0.0)):
        for steps in ("10", "50", "100"):
            served = [switch_rules.multi(t, fractions) for t in respaced_timesteps(steps)]
            multi[f"{','.join(map(str, fractions))} steps {steps}"] = [served.count(i) for i in range(3)]
    return {
        "ratios": ratios,
        "dit": {s: [sum(switch_rules.dit(t, r) for t in respaced_timesteps(s)) for r in ratios]
                for s in ("10", "20", "25", "50", "100", "250", "1000")},
        "ldm": {str(s): [sum(switch_rules.ldm(t, r) for t in ldm_timesteps(s)) for r in ratios]
                for s in (10, 20, 25, 50, 64, 100, 200, 250)},
        "step": {str(n): [sum(switch_rules.step(i, n, r) for i in range(n)) for r in ratios]
                 for n in (1, 2, 4, 8, 20, 21, 25, 26, 50, 51)},
        "lcm": {str(n): [sum(switch_rules.lcm(i, n, r) for i in range(n)) for r in ratios] for n in (1, 2, 4, 8)},
        "lcm_exact": {str(n): [sum(switch_rules.lcm(i, n, k / n) for i in range(n)) for k in range(n + 1)] for n in (2, 4, 8)},
        "multi": multi,
    }


def main():
    os.makedirs(FOLDER, exist_ok=True)
    forward_case("S/8", "s8", [207, 1000])
    forward_case("tiny", "tiny", [3, 10])
    forward_case("tiny-nosigma", "tiny-nosigma", [3, 10])
    check_samplers()
    solver_steps()

    two, three, imagenet = ["S/8", "B/8"], ["S/8", "B/4", "B/8"], [207, 360]
    ddim, ddpm = dict(method="ddim", cfg=4.0, channels=3), dict(method="ddpm", cfg=1.5, channels=3, noisy=True)
    cases = [
        sample_case("s8_ddim", ["S/8"], imagenet, **ddim),
        sample_case("s8_ddim_eta0.7", ["S/8"], imagenet, **ddim, eta=0.7, noisy=True),
        sample_case("s8_ddpm", ["S/8"], imagenet, **ddpm),
        sample_case("b8_ddim", ["B/8"], imagenet, **ddim),
        sample_case("s8-b8_ddim", two, imagenet, **ddim, ratio=0.4),
        sample_case("s8-b8_ddim_cfg-all", two, imagenet, method="ddim", cfg=4.0, channels=4, ratio=0.4),
        sample_case("s8-b8_ddpm", two, imagenet, **ddpm, ratio=0.4),
        sample_case("s8-b4-b8_ddim", three, imagenet, **ddim, fractions=[0.4, 0.2, 0.4]),
        sample_case("s8-b4-b8_ddpm", three, imagenet, **ddpm, fractions=[0.4, 0.2, 0.4]),
        sample_case("tiny_ddim", ["tiny"], [3, 7], method="ddim", cfg=2.0, channels=1),
        sample_case("tiny_ddpm", ["tiny"], [3, 7], method="ddpm", cfg=2.0, channels=1, noisy=True),
        sample_case("tiny-nosigma_ddpm", ["tiny-nosigma"], [3, 7], method="ddpm", cfg=2.0, channels=1, noisy=True),
    ]
    for name, content in (("schedules", schedules()), ("switch_counts", switch_counts()),
                          ("cases", dict(seed=SEED, configs=CONFIGS, cases=cases, agreement=agreement))):
        with open(os.path.join(FOLDER, name + ".json"), "w") as file:
            json.dump(content, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
