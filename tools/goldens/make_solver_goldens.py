"""What diffusers' schedulers answer: tests/golden/solvers/*.json. `python3 tools/goldens/make_solver_goldens.py`, half a minute.

diffusers keeps its schedules in float32. To compare formulas and not roundings, every scheduler runs twice: as it is,
and with the types float32 of its module replaced by float64. The goldens are the second run's; `agreement` in the
files holds the largest difference of the first from them. Only the first timestep of exponential and beta sigmas is the
first run's where diffusers cuts it off to a whole one: how float32 rounds decides it.

Latents are written in the engine's coordinates, x = alpha x0 + sigma eps. Schedulers that work with x / alpha get
their input so and their output is taken back.
"""
import importlib
import json
import os
import sys

import numpy as np
import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from random_weights import uniform

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "solvers")
SHAPE = (2, 3, 2, 2)  # N, C, H, W
HIDDEN = 8
BETAS = {
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=2e-2),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "squaredcos_cap_v2": dict(beta_schedule="squaredcos_cap_v2"),
}
# name: module, class, works with x / alpha, its configuration as the engine's default
SOLVERS = {
    "ddim": ("ddim", "DDIMScheduler", False, dict(timestep_spacing="leading", clip_sample=False)),
    "pndm": ("pndm", "PNDMScheduler", False, dict(timestep_spacing="leading", skip_prk_steps=True, steps_offset=1)),
    "euler": ("euler_discrete", "EulerDiscreteScheduler", True, {}),
    "euler_a": ("euler_ancestral_discrete", "EulerAncestralDiscreteScheduler", True, {}),
    "heun": ("heun_discrete", "HeunDiscreteScheduler", True, {}),
    "dpm++2m": ("dpmsolver_multistep", "DPMSolverMultistepScheduler", False, {}),
    "dpm++2m_sde": ("dpmsolver_multistep", "DPMSolverMultistepScheduler", False, dict(algorithm_type="sde-dpmsolver++")),
    "unipc": ("unipc_multistep", "UniPCMultistepScheduler", False, {}),
    "lcm": ("lcm", "LCMScheduler", False, dict(clip_sample=False)),
    "flow_euler": ("flow_match_euler_discrete", "FlowMatchEulerDiscreteScheduler", False, {}),
}
SIGMAS = {"discrete": {}, "karras": dict(use_karras_sigmas=True), "exponential": dict(use_exponential_sigmas=True),
          "beta": dict(use_beta_sigmas=True), "lu": dict(use_lu_lambdas=True)}
MULTISTEP = ("dpm++2m", "dpm++2m_sde", "unipc")


class Replaced:
    """A module with some of its names replaced."""

    def __init__(self, module, **names):
        self.__dict__.update(names, _module=module)

    def __getattr__(self, name):
        return getattr(self._module, name)


def scheduler(solver, double, **config):
    module, name, _, defaults = SOLVERS[solver]
    module = importlib.import_module("diffusers.schedulers.scheduling_" + module)
    module.np = Replaced(np, float32=np.float64) if double else np
    module.torch = Replaced(torch, float32=torch.float64) if double else torch
    return getattr(module, name)(**{**defaults, **config}), module


def timed(solver, steps, double, **config):
    """A scheduler with its timesteps, and its module."""
    first = None
    if double and solver in MULTISTEP and (config.get("use_exponential_sigmas") or config.get("use_beta_sigmas")):
        first = timed(solver, steps, False, **config)[0].timesteps[0]
    s, module = scheduler(solver, double, **config)
    s.set_timesteps(steps)
    if first is not None:
        s.timesteps[0] = first
    return s, module


def levels(s, solver):
    """t, alpha and sigma of every evaluation, then alpha and sigma of the end."""
    t = [float(v) for v in s.timesteps]
    if hasattr(s, "sigmas") and solver != "flow_euler":
        ratio = s.sigmas.double()
        alpha = 1 / (1 + ratio**2).sqrt()
        return t, alpha, ratio * alpha
    if solver == "flow_euler":
        return t, 1 - s.sigmas.double(), s.sigmas.double()
    abar = s.alphas_cumprod.double()[torch.tensor(t).long()]
    end = torch.tensor([1.0]) if solver in ("lcm", "ddim") else s.alphas_cumprod.double()[:1]
    abar = torch.cat([abar, end])
    return t, abar.sqrt(), (1 - abar).sqrt()


def weights():
    f = lambda name, shape, scale: torch.from_numpy(uniform("solver/" + name, shape, scale, 7)).double()
    return dict(w1=f("w1", (HIDDEN, 3), 1), b1=f("b1", (HIDDEN,), 0.5), wt=f("wt", (HIDDEN,), 1), w2=f("w2", (3, HIDDEN), 0.5))


def gaussian(x, t, alpha, sigma):
    """x0 is N(0.3, 0.5^2) in every element: E[x0 | x]."""
    return 0.3 + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x - alpha * 0.3)


def mlp(x, t, alpha, sigma, w=weights()):
    """A network of two layers on the channels of every pixel that predicts x0."""
    h = torch.einsum("hc,ncyx->nhyx", w["w1"], x) + (w["b1"] + w["wt"] * t / 1000)[:, None, None]
    return torch.einsum("ch,nhyx->ncyx", w["w2"], torch.tanh(h))


DENOISERS = {"gaussian": gaussian, "mlp": mlp}


def prediction(kind, x, x0, alpha, sigma):
    eps = (x - alpha * x0) / sigma
    return {"epsilon": eps, "sample": x0, "v_prediction": alpha * eps - sigma * x0, "flow": eps - x0}[kind]


def sample(solver, steps, denoiser, double, **config):
    s, module = timed(solver, steps, double, **config)
    if hasattr(s, "set_begin_index"):
        s.set_begin_index(0)  # as pipelines do; else repeated first timesteps skip a step
    t, alpha, sigma = levels(s, solver)
    dtype = torch.float64 if double else torch.float32
    noise = torch.from_numpy(uniform("solver/noise", (64, *SHAPE), 3**0.5, 7)).to(dtype)
    drawn = iter(noise)
    module.randn_tensor = lambda *_, **__: next(drawn)
    scaled = SOLVERS[solver][2]
    kind = "flow" if solver == "flow_euler" else config.get("prediction_type", "epsilon")
    x = torch.from_numpy(uniform("solver/x_T", SHAPE, 3**0.5, 7)).to(dtype)
    x = (x / alpha[0]).to(dtype) if scaled else x
    for i, timestep in enumerate(s.timesteps):
        seen = (s.scale_model_input(x, timestep) if scaled else x).double()
        x0 = DENOISERS[denoiser](seen, t[i], alpha[i], sigma[i])
        x = s.step(prediction(kind, seen, x0, alpha[i], sigma[i]).to(dtype), timestep, x, return_dict=False)[0]
    return x.double()


def rounded(values, digits):
    return [float(f"{float(v):.{digits}g}") for v in values]


def cases():
    for solver in SOLVERS:
        for steps in (10, 20, 50):
            for denoiser in DENOISERS:
                yield dict(solver=solver, steps=steps, denoiser=denoiser, betas="linear")
    for solver in ("pndm", "euler", "euler_a", "heun", "dpm++2m", "dpm++2m_sde", "unipc", "lcm"):
        yield dict(solver=solver, steps=10, denoiser="mlp", betas="scaled_linear")
        if solver != "heun":  # starts at sigma / alpha = 20291, so that float32 knows nothing of the second slope
            yield dict(solver=solver, steps=10, denoiser="mlp", betas="squaredcos_cap_v2")
    for solver in ("euler", "heun", "dpm++2m", "dpm++2m_sde", "unipc"):
        for sigmas in ("karras", "exponential", "beta"):
            yield dict(solver=solver, steps=20, denoiser="mlp", betas="scaled_linear", sigmas=sigmas)
    for solver in ("euler", "euler_a", "heun", "dpm++2m", "unipc"):
        for spacing in ("leading", "trailing"):
            yield dict(solver=solver, steps=20, denoiser="mlp", betas="scaled_linear", spacing=spacing)
    yield dict(solver="pndm", steps=20, denoiser="mlp", betas="scaled_linear", spacing="trailing")
    yield dict(solver="flow_euler", steps=20, denoiser="mlp", betas="linear", shift=3.0)
    yield dict(solver="dpm++2m", steps=20, denoiser="mlp", betas="scaled_linear", sigmas="lu")
    for solver in ("dpm++2m", "unipc", "euler"):
        for kind in ("v_prediction", "sample"):
            yield dict(solver=solver, steps=20, denoiser="mlp", betas="scaled_linear", prediction=kind)


    yield dict(solver="pndm", steps=20, denoiser="mlp", betas="scaled_linear", prediction="v_prediction")
    # The last: the order falls in fewer than 15 steps, UniPC's always. The stochastic one's does not survive the last step
    # of 20 to sigma_min.
    for solver in MULTISTEP:
        for steps, more in ((20, {}), (20, dict(final="sigma_min")), (20, dict(final="sigma_min", lower=False)), (10, dict(final="sigma_min"))):
            if (solver, steps) == ("dpm++2m_sde", 20) and more:
                continue
            yield dict(solver=solver, steps=steps, denoiser="mlp", betas="scaled_linear", order=3, **more)
    for solver in ("dpm++2m", "dpm++2m_sde"):
        yield dict(solver=solver, steps=20, denoiser="mlp", betas="scaled_linear", type="heun")
    for order in (1, 2, 3):
        yield dict(solver="unipc", steps=20, denoiser="mlp", betas="scaled_linear", order=order, type="bh1", final="sigma_min")
    yield dict(solver="unipc", steps=20, denoiser="mlp", betas="scaled_linear", uncorrected=[0, 3])
    for solver in ("ddim", "dpm++2m", "unipc", "lcm"):
        yield dict(solver=solver, steps=10, denoiser="mlp", betas="scaled_linear", thresholding=[0.7, 1.3])
    yield dict(solver="lcm", steps=10, denoiser="mlp", betas="scaled_linear", scaling=0.01)
    for solver in ("euler", "unipc"):
        yield dict(solver=solver, steps=20, denoiser="mlp", betas="scaled_linear", sigmas="karras", lowest=0.1, highest=10.0)


def config_of(case):
    config = {} if case["solver"] == "flow_euler" else dict(BETAS[case["betas"]])
    config.update(SIGMAS[case.get("sigmas", "discrete")])
    for key, name in (("spacing", "timestep_spacing"), ("prediction", "prediction_type"), ("shift", "shift"), ("offset", "steps_offset"),
                      ("order", "solver_order"), ("type", "solver_type"), ("final", "final_sigmas_type"), ("lower", "lower_order_final"),
                      ("uncorrected", "disable_corrector"), ("scaling", "timestep_scaling"), ("lowest", "sigma_min"), ("highest", "sigma_max")):
        if key in case:
            config[name] = case[key]
    if "thresholding" in case:
        ratio, most = case["thresholding"]
        config.update(thresholding=True, dynamic_thresholding_ratio=ratio, sample_max_value=most)
    return config


def main():
    os.makedirs(OUT, exist_ok=True)
    trajectories, worst = [], {}
    for case in cases():
        args = case["solver"], case["steps"], case["denoiser"]
        exact = sample(*args, True, **config_of(case))
        stock = sample(*args, False, **config_of(case))
        difference = float((exact - stock).abs().max())
        worst[case["solver"]] = max(worst.get(case["solver"], 0), difference)
        print(f"{difference:.1e} of {float(exact.abs().max()):.2f}  {case}")
        trajectories.append({**case, "x": rounded(exact.flatten(), 9), "agreement": rounded([difference], 2)[0]})

    timesteps = []
    for solver in ("pndm", "euler", "dpm++2m", "unipc", "lcm", "flow_euler"):
        for betas in BETAS if solver not in ("lcm", "flow_euler") else ["linear"]:
            for spacing in ("leading", "linspace", "trailing") if solver in ("euler", "dpm++2m", "unipc") else [None]:
                for sigmas in SIGMAS if solver in ("euler", "dpm++2m", "unipc") else ["discrete"]:
                    if (sigmas != "discrete" and spacing == "leading") or (solver == "dpm++2m" and sigmas in ("karras", "lu") and betas == "squaredcos_cap_v2"):
                        continue  # the first: as with the others; the second: the README says
                    if sigmas == "lu" and solver != "dpm++2m":
                        continue
                    for steps in (10, 48) if sigmas == "discrete" and betas == "linear" else (9,):
                        case = dict(solver=solver, betas=betas, sigmas=sigmas, steps=steps)
                        case.update({"spacing": spacing} if spacing else {})
                        case.update({"shift": 3.0} if solver == "flow_euler" else {})
                        case.update({"offset": 1} if spacing == "leading" else {})
                        runs = []
                        for double in (True, False):
                            s, _ = timed(solver, steps, double, **config_of(case))
                            runs.append(levels(s, solver))
                        (t, alpha, sigma), (t32, _, sigma32) = runs
                        timesteps.append({**case, "t": rounded(t, 11), "alpha": rounded(alpha, 10), "sigma": rounded(sigma, 10)})
                        agreement = max(float((sigma - sigma32).abs().max()), max(abs(a - b) / 1000 for a, b in zip(t, t32)))
                        worst["timesteps"] = max(worst.get("timesteps", 0), agreement)
    print({k: f"{v:.1e}" for k, v in worst.items()})
    for name, content in (("trajectories", trajectories), ("levels", timesteps)):
        with open(os.path.join(OUT, name + ".json"), "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(entry) for entry in content) + "\n]\n")


if __name__ == "__main__":
    main()
