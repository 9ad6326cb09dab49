"""Writes tests/golden/twins: final latents of sd/'s networks in cheaper forms, alone, stitched with themselves and with another;
answers of a DiT and of an SDXL without some of their blocks, what each block changes, and which evaluations DeepCache's code makes whole.

    python3 tools/goldens/make_twin_goldens.py

Token merging (Bolya & Hoffman 2023, arXiv 2303.17604) and DeepCache (Ma et al. 2023, arXiv 2312.00858), written anew over diffusers'
modules: merging as a matrix of means, a cached evaluation as the few modules it consists of. The targets of merging are drawn by
Philox at the addresses that tstitch/models/token_merging.h names, with the seed 0.
"""
import json
import os
import pathlib
import sys

import numpy as np
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.dirname(__file__))
import make_goldens as dits
import make_sd_goldens as sd
import make_unet_goldens as small_unets
import random_weights
import unets

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/twins"
SEED, SIDE, STEPS, SCALE = 0, sd.SIDE, sd.STEPS, sd.SCALE
SCHEDULERS = {"pndm": (PNDMScheduler, dict(skip_prk_steps=True)), "ddim": (DDIMScheduler, dict(clip_sample=False)),
              "euler": (EulerDiscreteScheduler, {}), "heun": (HeunDiscreteScheduler, {})}
# Of the transformer blocks, counted in order of use, those of full resolution.
BLOCKS = {"large": {"down_blocks.0.attentions.0": 0, "down_blocks.0.attentions.1": 1, "up_blocks.1.attentions.0": 3,
                    "up_blocks.1.attentions.1": 4, "up_blocks.1.attentions.2": 5},
          "small": {"down_blocks.0.attentions.0": 0, "up_blocks.1.attentions.0": 4, "up_blocks.1.attentions.1": 5}}


def targets(evaluation, block):
    """One token of every cell of 2 x 2."""
    side = SIDE // 2
    cells = side * side
    assert cells <= 64  # of one counter
    words = random_weights.philox4x32(np.array([[0, evaluation, block, 1]]), (SEED % 2**32, SEED >> 32))[0]
    chosen = []
    for cell in range(cells):
        corner = int(words[cell // 16]) >> (2 * (cell % 16)) & 3
        chosen.append((2 * (cell // side) + (corner >> 1)) * SIDE + 2 * (cell % side) + (corner & 1))
    return chosen


def groups_of(x, ratio, evaluation, block):
    """x: (T, C). The matrix of (T', T) that says which token is in which group."""
    T = len(x)
    to = targets(evaluation, block)
    sources = [t for t in range(T) if t not in to]
    unit = x / x.norm(dim=-1, keepdim=True)
    cosine, nearest = (unit[sources] @ unit[to].T).max(dim=1)
    joining = torch.argsort(cosine, descending=True, stable=True)[:min(len(sources), int(T * ratio))].tolist()
    alone = [t for i, t in enumerate(sources) if i not in joining]
    groups = torch.zeros(len(alone) + len(to), T)
    for row, token in enumerate(alone + to):
        groups[row, token] = 1
    for i in joining:
        groups[len(alone) + int(nearest[i]), sources[i]] = 1
    return groups


def whole_evaluations(every, total, center, power):
    """DeepCache's `sample_from_quad_center` (DeepCache/sd), with the samples of its `uniform=False`; None where it finds none."""
    samples = -(-total // every)
    while power > 1:
        x = np.linspace((-center) ** (1 / power), (total - center) ** (1 / power), samples + 1)  # complex before the center
        inner = np.unique(np.trunc((x**power).real).astype(int))[1:-1]
        whole = [0] + [int(place) + center for place in inner]
        if len(whole) == samples:
            return whole
        power -= 0.02
    return None


def hangs_on_rounding(every, total, center, power):
    """Whether a place that is whole in exact arithmetic decides: then the code's answer is that of the last bit."""
    samples = -(-total // every)
    while power > 1:
        x = np.linspace((-center) ** (1 / power), (total - center) ** (1 / power), samples + 1)
        places = (x**power).real
        cut = np.trunc(places)
        exact = np.where(np.abs(places - np.round(places)) < 1e-9 * (total + center), np.round(places), cut)
        if len(np.unique(exact)) != len(np.unique(cut)) or (exact != cut)[1:-1].any():
            return True
        if len(np.unique(cut)[1:-1]) == samples - 1:
            return False
        power -= 0.02
    return False


class Form:
    """A network in a cheaper form, for one stage."""

    def __init__(self, unet, tag, merge=0, every=1, helper=False, around=None):
        """around: of non-uniform steps how many evaluations the stage has, the center and the power."""
        self.unet, self.every, self.evaluation, self.kept = unet, every, 0, {}
        self.whole = around and whole_evaluations(every, *around)
        self.first = len(unet.up_blocks[-1].resnets) - (1 if helper else 2)  # of the pairs that are always evaluated
        self.helper = helper
        self.merge, self.blocks = merge, BLOCKS[tag]

    def __call__(self, x, t, contexts, rows):
        """rows: what each of them is called, for what is kept of it."""
        originals = {}
        if self.merge:
            for name, number in self.blocks.items():
                block = self.unet.get_submodule(name).transformer_blocks[0]
                originals[block] = block.forward
                block.forward = self.merging(block, number)
        whole = self.evaluation in self.whole if self.whole else self.evaluation % self.every == 0
        answers = [self.of_row(x[n:n + 1], t, contexts[n:n + 1], row, whole) for n, row in enumerate(rows)]
        for block, forward in originals.items():
            block.forward = forward
        self.evaluation += 1
        return torch.cat(answers)

    def merging(self, block, number):
        def forward(hidden_states, encoder_hidden_states=None, **_):
            x = hidden_states
            groups = groups_of(x[0], self.merge, self.evaluation, number)
            merged = (groups / groups.sum(dim=1, keepdim=True)) @ block.norm1(x)
            x = x + groups.T @ block.attn1(merged)
            x = x + block.attn2(block.norm2(x), encoder_hidden_states=encoder_hidden_states)
            return x + block.ff(block.norm3(x))
        return forward

    def of_row(self, x, t, context, row, whole):
        unet = self.unet
        last = unet.up_blocks[-1]
        if whole or row not in self.kept:
            skip = unet.config.block_out_channels[0]  # channels

            def keep(_, arguments):
                self.kept[row] = arguments[0][:, :-skip]
            hook = last.resnets[self.first].register_forward_pre_hook(keep)
            y = unet(x, t, context).sample
            hook.remove()
            return y
        emb = unet.time_embedding(unet.time_proj(torch.as_tensor(t).reshape(1)).to(x.dtype))
        skips = [unet.conv_in(x)]
        if not self.helper:
            first = unet.down_blocks[0]
            skips.append(first.attentions[0](first.resnets[0](skips[0], emb), encoder_hidden_states=context).sample)
        x = self.kept[row]
        for resnet, attention in list(zip(last.resnets, last.attentions))[self.first:]:
            x = resnet(torch.cat([x, skips.pop()], dim=1), emb)
            x = attention(x, encoder_hidden_states=context).sample
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))


WHOLE = {}
# {name: (scheduler, ratio, the first stage's network and form, the second's, the interval of steps that are guided)}
CASES = {
    "merge": ("pndm", 0, ("large", WHOLE), ("large", dict(merge=0.5)), (0, 1)),
    "merge_all": ("euler", 0, ("large", WHOLE), ("large", dict(merge=0.75)), (0, 1)),
    "merge_small": ("ddim", 1, ("small", dict(merge=0.3)), ("large", WHOLE), (0, 1)),
    "merge_stitched": ("ddim", 0.4, ("small", WHOLE), ("large", dict(merge=0.5)), (0, 1)),
    "merge_twin": ("pndm", 0.4, ("large", dict(merge=0.5)), ("large", WHOLE), (0, 1)),
    "cache": ("pndm", 0, ("large", WHOLE), ("large", dict(every=3)), (0, 1)),
    "cache_helper": ("euler", 0, ("large", WHOLE), ("large", dict(every=2, helper=True)), (0, 1)),
    "cache_small": ("ddim", 1, ("small", dict(every=2)), ("large", WHOLE), (0, 1)),
    "cache_small_helper": ("ddim", 1, ("small", dict(every=3, helper=True)), ("large", WHOLE), (0, 1)),
    "cache_stitched": ("ddim", 0.4, ("small", dict(every=3)), ("large", dict(every=2)), (0, 1)),
    "cache_twin": ("ddim", 0.4, ("large", dict(every=3)), ("large", WHOLE), (0, 1)),
    "cache_heun": ("heun", 0.4, ("small", WHOLE), ("large", dict(every=3)), (0, 1)),
    "cache_interval": ("ddim", 0, ("large", WHOLE), ("large", dict(every=3)), (0.4, 0.8)),
    "cache_around": ("ddim", 0, ("large", WHOLE), ("large", dict(every=3, around=(10, 4, 1.4))), (0, 1)),
    "cache_around_heun": ("heun", 0.4, ("small", WHOLE), ("large", dict(every=3, helper=True, around=(11, 6, 1.2))), (0, 1)),
    "both": ("ddim", 0.4, ("large", dict(merge=0.5, every=3)), ("large", dict(merge=0.25)), (0, 1)),
}


def write_whole_evaluations():
    """[evaluations, N, center, power, those that are whole or null]"""
    cases = [[50, 5, 15, 1.4], [50, 3, 15, 1.4], [25, 3, 7, 1.4]]
    cases += [[total, every, center, power] for total in (1, 2, 3, 7, 12, 20, 30, 50, 100) for every in (2, 3, 5)
              for center in (0, 2, 7, 15, 40) for power in (1.1, 1.4, 1.8, 2.5)]
    rows = [[*case, whole_evaluations(case[1], case[0], *case[2:])] for case in cases if not hangs_on_rounding(case[1], case[0], *case[2:])]
    (FOLDER / "whole_evaluations.json").write_text("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n")
    print(len(rows), "of", len(cases), "ways of laying whole evaluations")


@torch.no_grad()
def write_skipped_blocks():
    """Two images, as make_goldens.py and make_unet_goldens.py have them."""
    x, t, y = dits.inputs("x_T", "S/8", 2), torch.tensor([501, 501]), torch.tensor([207, 1000])
    model = dits.model_of("S/8")
    changes = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, given, out: changes.append(
            ((out - given[0]).double().flatten(1).norm(dim=1) / given[0].double().flatten(1).norm(dim=1)).tolist()))
    model(x, t, y)
    (FOLDER / "dit_block_changes.json").write_text(json.dumps(changes) + "\n")
    model = dits.model_of("S/8")
    for block in (6, 5, 2):
        del model.blocks[block]
    np.save(FOLDER / "dit_skip.npy", model(x, t, y).numpy())

    unet = unets.unet("sdxl", unets.TINY["sdxl"])
    transformers = [*unet.down_blocks[1].attentions, *unet.down_blocks[2].attentions, *unet.mid_block.attentions,
                    *unet.up_blocks[0].attentions, *unet.up_blocks[1].attentions]  # in order of use
    numbered = [(transformer, i) for transformer in transformers for i in range(len(transformer.transformer_blocks))]
    for number in (13, 6, 4, 3):
        transformer, i = numbered[number]
        del transformer.transformer_blocks[i]
    context, added = small_unets.condition(unets.TINY["sdxl"], 2, 7)
    answer = unet(small_unets.uniform("x", (2, 4, small_unets.HEIGHT, small_unets.WIDTH)), small_unets.TIMESTEP,
                  encoder_hidden_states=context, added_cond_kwargs=added).sample
    np.save(FOLDER / "sdxl_skip.npy", answer.numpy())


@torch.no_grad()
def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_whole_evaluations()
    write_skipped_blocks()
    unets = {tag: sd.fill(UNet2DConditionModel(**sd.UNETS[tag]), f"sd-{tag}") for tag in ("large", "small")}
    text = sd.fill(CLIPTextModel(CLIPTextConfig(**sd.TEXT, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), "sd-text")
    ids = sd.tokenizer()([sd.NEGATIVE, sd.PROMPT], padding="max_length", max_length=77, return_tensors="pt").input_ids
    contexts = text(ids).last_hidden_state
    x_T = torch.from_numpy(random_weights.uniform("x_T", (1, 4, SIDE, SIDE), np.sqrt(3.0), sd.SEED))
    for name, (sampler, ratio, small, large, (low, high)) in CASES.items():
        scheduler_class, more = SCHEDULERS[sampler]
        scheduler = scheduler_class.from_config(dict(sd.SCHEDULER, **more))
        scheduler.set_timesteps(STEPS)
        stages = [Form(unets[tag], tag, **form) for tag, form in (small, large)]
        x, N = x_T * scheduler.init_noise_sigma, len(scheduler.timesteps)
        evaluations_of_a_step = 2 if sampler == "heun" else 1
        steps = STEPS if sampler == "heun" else N
        for i, t in enumerate(scheduler.timesteps):
            step = i // evaluations_of_a_step
            stage = stages[0 if (step + 1) / steps <= ratio else 1]
            model_input = scheduler.scale_model_input(x, t)
            if low <= step / steps < high:
                uncond, cond = stage(torch.cat([model_input, model_input]), t, contexts, ["uncond", "cond"]).chunk(2)
                eps = uncond + SCALE * (cond - uncond)
            else:
                eps = stage(model_input, t, contexts[1:], ["cond"])
            x = scheduler.step(eps, t, x).prev_sample
        assert torch.isfinite(x).all()
        np.save(FOLDER / f"{name}.npy", x.numpy())
        print(name, float(x.std()))


if __name__ == "__main__":
    main()
