"""What tools/compare/compare_schedulers.py compares: class, keys, and the number of steps.

Keys go on top of Stable Diffusion's betas. A file has what save_pretrained writes, that is every key; with bare=True only these keys.
"""
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
V, ZERO = dict(prediction_type="v_prediction"), dict(rescale_betas_zero_snr=True)
KARRAS, EXPONENTIAL, BETA = dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(use_beta_sigmas=True)
TRAILING, LINSPACE, LEADING = (dict(timestep_spacing=s) for s in ("trailing", "linspace", "leading"))
COSINE, LOWEST = dict(beta_schedule="squaredcos_cap_v2"), dict(final_sigmas_type="sigma_min")
TRAINED = dict(trained_betas=[1e-4 + 2e-5 * i for i in range(1000)])
PLMS = dict(skip_prk_steps=True)


def setting(name, *keys, steps=10, bare=False):
    merged = {}
    for one in keys:
        merged.update(one)
    return name + "Scheduler", merged, steps, bare


SETTINGS = [
    setting("DDIM"),
    setting("DDIM", bare=True),
    setting("DDIM", dict(set_alpha_to_one=False)),
    setting("DDIM", dict(clip_sample=False, steps_offset=1)),
    setting("DDIM", TRAILING),
    setting("DDIM", LINSPACE),
    setting("DDIM", V),
    setting("DDIM", V, ZERO, TRAILING),
    setting("DDIM", V, ZERO),
    setting("DDIM", ZERO, TRAILING),
    setting("DDIM", TRAINED),
    setting("DDIM", dict(prediction_type="sample")),
    setting("DDIM", dict(thresholding=True)),
    setting("DDIM", COSINE),
    setting("DDPM"),
    setting("DDPM", dict(variance_type="fixed_large")),
    setting("DDPM", dict(variance_type="fixed_small_log")),
    setting("DDPM", dict(variance_type="learned_range")),
    setting("DDPM", LINSPACE),
    setting("DDPM", V, ZERO, TRAILING),
    setting("PNDM", PLMS),
    setting("PNDM", PLMS, bare=True),
    setting("PNDM", PLMS, dict(set_alpha_to_one=True)),
    setting("PNDM", PLMS, TRAILING, steps=20),
    setting("PNDM", PLMS, LINSPACE),
    setting("PNDM", PLMS, V),
    setting("PNDM"),
    setting("EulerDiscrete"),
    setting("EulerDiscrete", bare=True),
    setting("EulerDiscrete", KARRAS),
    setting("EulerDiscrete", EXPONENTIAL),
    setting("EulerDiscrete", BETA),
    setting("EulerDiscrete", LEADING),
    setting("EulerDiscrete", TRAILING, V, ZERO),
    setting("EulerDiscrete", TRAILING, ZERO),
    setting("EulerDiscrete", LOWEST),
    setting("EulerDiscrete", LOWEST, KARRAS, LEADING),
    setting("EulerDiscrete", dict(timestep_type="continuous"), V),
    setting("EulerDiscrete", dict(interpolation_type="log_linear")),
    setting("EulerDiscrete", dict(sigma_min=0.1), KARRAS),
    setting("EulerDiscrete", TRAINED),
    setting("EulerAncestralDiscrete"),
    setting("EulerAncestralDiscrete", TRAILING, V, ZERO),
    setting("HeunDiscrete"),
    setting("HeunDiscrete", KARRAS),
    setting("HeunDiscrete", EXPONENTIAL),
    setting("HeunDiscrete", TRAILING),
    setting("HeunDiscrete", LEADING, V),
    setting("DPMSolverMultistep"),
    setting("DPMSolverMultistep", KARRAS),
    setting("DPMSolverMultistep", KARRAS, steps=25),
    setting("DPMSolverMultistep", EXPONENTIAL),
    setting("DPMSolverMultistep", COSINE, KARRAS),
    setting("DPMSolverMultistep", COSINE),
    setting("DPMSolverMultistep", dict(use_lu_lambdas=True)),
    setting("DPMSolverMultistep", dict(solver_order=1)),
    setting("DPMSolverMultistep", dict(solver_order=3)),
    setting("DPMSolverMultistep", dict(solver_type="heun")),
    setting("DPMSolverMultistep", dict(lower_order_final=False)),
    setting("DPMSolverMultistep", dict(euler_at_final=True), LOWEST, steps=20),
    setting("DPMSolverMultistep", LOWEST),
    setting("DPMSolverMultistep", LOWEST, steps=20),
    setting("DPMSolverMultistep", LOWEST, dict(lower_order_final=False)),
    setting("DPMSolverMultistep", LOWEST, KARRAS),
    setting("DPMSolverMultistep", dict(algorithm_type="sde-dpmsolver++")),
    setting("DPMSolverMultistep", dict(algorithm_type="sde-dpmsolver++", solver_order=1)),
    setting("DPMSolverMultistep", dict(algorithm_type="sde-dpmsolver++"), KARRAS, steps=20),
    setting("DPMSolverMultistep", dict(algorithm_type="dpmsolver"), LOWEST),
    setting("DPMSolverMultistep", V, ZERO, TRAILING),
    setting("DPMSolverMultistep", LEADING),
    setting("DPMSolverMultistep", dict(lambda_min_clipped=-5.1)),
    setting("UniPCMultistep"),
    setting("UniPCMultistep", KARRAS),
    setting("UniPCMultistep", EXPONENTIAL),
    setting("UniPCMultistep", dict(solver_order=1)),
    setting("UniPCMultistep", dict(solver_order=3)),
    setting("UniPCMultistep", dict(solver_type="bh1")),
    setting("UniPCMultistep", dict(disable_corrector=[0])),
    setting("UniPCMultistep", LOWEST),
    setting("UniPCMultistep", LOWEST, dict(lower_order_final=False)),
    setting("UniPCMultistep", dict(lower_order_final=False)),
    setting("UniPCMultistep", V, ZERO, TRAILING),
    setting("LCM", steps=4),
    setting("LCM", TRAILING, steps=4),
    setting("LCM", dict(original_inference_steps=100), steps=8),
    setting("LCM", dict(timestep_scaling=5.0), steps=4),
    setting("LCM", V, ZERO, steps=4),
    setting("DEISMultistep"),
    setting("KDPM2Discrete"),
    setting("LMSDiscrete"),
    setting("TCD", steps=4),
    setting("DPMSolverSinglestep"),
]
