"""Writes tests/golden/lora: what diffusers, PEFT and LyCORIS make of LoRAs.

    python3 tools/goldens/make_lora_goldens.py

Final latents of make_sdxl_goldens.py's tiny networks with LoRAs of random_weights.py's numbers. "a" changes all linear maps and
convolutions of the U-Net and both text encoders; PEFT computes it beside the weights. "b" changes the U-Net's attention and is
loaded by diffusers from a file with kohya's keys in the original code's names. On a pruned U-Net "a" is merged here, module by
module, with what SDXL calls it.

forms.json: single weights that LyCORIS, and for its own magnitudes PEFT, merge, a case for each form of change.
"""
import json
import os
import pathlib
import sys
import tempfile

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from lycoris.modules.full import FullModule
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from peft.tuners.lora import LoraConfig
from peft import inject_adapter_in_model
from safetensors.torch import save_file

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import random_weights
from make_sdxl_goldens import SCHEDULER, SEED, SIDE, UNETS, parts, stitched, uniform
from unets import compvis_modules

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/lora"
RANK, ALPHA = 4, 2.0
PARTS = ("unet", "text_encoder", "text_encoder_2")


def number(name, shape, scale):
    return torch.from_numpy(random_weights.uniform(name, tuple(shape), scale, SEED))


def modules(part, model):
    """{name: weight} of what is changed."""
    chosen = {name: module.weight for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))}
    return {name.removeprefix("text_model."): weight for name, weight in chosen.items() if part == "unet" or "encoder." in name}


def factors(tag, part, name, weight):
    """down (r, I, kh, kw) and up (M, r, 1, 1), of linear maps without the last two."""
    kernel, one = weight.shape[2:], (1,) * (weight.dim() - 2)
    columns = int(np.prod(weight.shape[1:]))
    down = number(f"{tag}/{part}.{name}.down", (RANK, weight.shape[1], *kernel), np.sqrt(3 / columns))
    return down, number(f"{tag}/{part}.{name}.up", (weight.shape[0], RANK, *one), 1.0)


def pipeline_of(unet):
    pipeline = StableDiffusionXLPipeline(scheduler=EulerDiscreteScheduler(**SCHEDULER), unet=unet, add_watermarker=False, **parts())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def load_a(pipeline):
    for part in PARTS:
        model = getattr(pipeline, part)
        state, alphas = {}, {}
        for name, weight in modules(part, model).items():
            down, up = factors("a", part, name, weight)
            full = name if part == "unet" else f"text_model.{name}"
            state |= {f"{full}.lora_A.weight": down, f"{full}.lora_B.weight": up}
            alphas[f"{full}.alpha"] = torch.tensor(ALPHA)
        state, alphas = ({f"{part}.{key}": value for key, value in all.items()} for all in (state, alphas))
        if part == "unet":
            model.load_lora_adapter(state, network_alphas=alphas, prefix=part, adapter_name="a")
        else:
            before = {name: weight.clone() for name, weight in model.named_parameters()}
            pipeline.load_lora_into_text_encoder(state, alphas, model, prefix=part, adapter_name="a")
            after = {name.replace(".base_layer", ""): weight for name, weight in model.named_parameters()}
            assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def load_b(pipeline, bare):
    """bare: the U-Net without adapters, whose names count."""
    names = compvis_modules(bare, sparse=False)
    state = {}
    for name, weight in modules("unet", bare).items():
        if ".to_" not in name:
            continue
        module = max((m for m in names if name.startswith(m + ".")), key=len)
        key = "lora_unet_" + (names[module] + name[len(module):]).replace(".", "_")
        down, up = factors("b", "unet", name, weight)
        state |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(ALPHA)}
    with tempfile.TemporaryDirectory() as folder:
        save_file(state, folder + "/b.safetensors")
        pipeline.load_lora_weights(folder, weight_name="b.safetensors", adapter_name="b")


def merge_a(unet, teacher, called):
    """called: what the teacher calls a module, or None where it has no such. What it changes elsewhere is left out."""
    state, theirs = unet.state_dict(), modules("unet", teacher)
    changed = 0
    for name in modules("unet", unet):
        source = called(name)
        if source not in theirs:
            continue
        down, up = factors("a", "unet", source, theirs[source])
        state[f"{name}.weight"] += ALPHA / RANK * (up.flatten(1) @ down.flatten(1)).reshape(state[f"{name}.weight"].shape)
        changed += 1
    return changed


def second_was_third(name):
    """KOALA's second resnet and transformer of a stage of the way up."""
    for kind in ("resnets", "attentions"):
        for block in range(3):
            name = name.replace(f"up_blocks.{block}.{kind}.1.", f"up_blocks.{block}.{kind}.2.")
    return name


LAYERS = {"linear": lambda: torch.nn.Linear(6, 8), "square": lambda: torch.nn.Linear(16, 16), "wide": lambda: torch.nn.Conv2d(4, 16, 3),
          "conv3": lambda: torch.nn.Conv2d(6, 8, 3), "conv1": lambda: torch.nn.Conv2d(6, 8, 1)}
OF_ROWS = dict(weight_decompose=True, wd_on_out=True)
OF_INPUTS = dict(weight_decompose=True, wd_on_out=False)
# {name: (layer, module of LyCORIS, its arguments, strength)}
FORMS = {
    "lora": ("linear", LoConModule, {}, 0.7),
    "locon": ("conv3", LoConModule, {}, 0.7),
    "locon_1": ("conv1", LoConModule, {}, 0.7),
    "locon_mid": ("conv3", LoConModule, dict(use_tucker=True), 0.7),
    "loha": ("linear", LohaModule, {}, 0.7),
    "loha_conv": ("conv3", LohaModule, {}, 0.7),
    "loha_tucker": ("conv3", LohaModule, dict(use_tucker=True), 0.7),
    "lokr_whole": ("linear", LokrModule, dict(lora_dim=100), 0.7),
    "lokr": ("linear", LokrModule, dict(lora_dim=1, factor=2), 0.7),
    "lokr_both": ("square", LokrModule, dict(lora_dim=1, factor=-1, decompose_both=True), 0.7),
    "lokr_conv": ("wide", LokrModule, dict(factor=2), 0.7),
    "lokr_tucker": ("wide", LokrModule, dict(factor=2, use_tucker=True), 0.7),
    "full": ("conv3", FullModule, {}, 0.7),
    "dora_rows": ("linear", LoConModule, OF_ROWS, 1),
    "dora_inputs": ("linear", LoConModule, OF_INPUTS, 1),
    "dora_conv_rows": ("conv3", LoConModule, OF_ROWS, 1),
    "dora_conv_inputs": ("conv3", LoConModule, OF_INPUTS, 1),
    "dora_half": ("conv3", LoConModule, OF_ROWS, 0.5),  # LyCORIS scales it otherwise
}


def filled(case, suffix, parameter):
    values = number(f"{case}/{suffix}", parameter.shape, 0.8)
    return 1 + values if "dora" in suffix or "magnitude" in suffix else values


def form(case, layer, kind, arguments, strength):
    arguments = dict(dict(lora_dim=2, alpha=3.0), **arguments)
    base = LAYERS[layer]()
    base.weight.data = number(f"{case}/weight", base.weight.shape, 1.0)
    base.bias.data = number(f"{case}/bias", base.bias.shape, 1.0)
    weight, bias = base.weight.clone(), base.bias.clone()
    module = kind("m", base, **arguments)
    renamed = {"weight": "diff", "bias": "diff_b"} if kind is FullModule else {}
    for suffix, parameter in module.named_parameters():
        parameter.data = filled(case, renamed.get(suffix, suffix), parameter)
    if kind is FullModule:
        merged = (weight + strength * module.weight, bias + strength * module.bias)
        tensors = {"diff": list(weight.shape), "diff_b": list(bias.shape)}
    elif "dora" in case:
        full = module.get_merged_weight(shape=weight.shape)[0]
        merged = (weight + strength * (full - weight), bias)
    elif kind is LoConModule:
        merged = (module.get_merged_weight(strength, shape=weight.shape)[0], bias)
    else:  # get_merged_weight of LyCORIS 4.1 scales these twice, which forward does not
        merged = (weight + strength * module.get_weight(weight.shape), bias)
    if kind is not FullModule:
        tensors = {suffix: list(value.shape) for suffix, value in module.state_dict().items() if not suffix.startswith("org")}
        tensors.pop("scalar", None)
        module.multiplier = strength
        module.apply_to()
        x = number(f"{case}/x", (3, weight.shape[1], *[7] * (weight.dim() - 2)), 1.0)
        expected = torch.nn.functional.linear(x, merged[0], bias) if weight.dim() == 2 else torch.nn.functional.conv2d(x, *merged)
        assert "half" in case or torch.allclose(base(x), expected, atol=1e-4), case
    tensors.pop("alpha", None)
    return dict(alpha=arguments["alpha"], strength=strength, tensors=tensors, weight=list(weight.shape),
                merged=[[float(f"{x:.7g}") for x in part.flatten()] for part in merged])


def peft_form(case, layer, strength=1):
    model = torch.nn.ModuleDict({"m": LAYERS[layer]()})
    weight = number(f"{case}/weight", model["m"].weight.shape, 1.0)
    bias = number(f"{case}/bias", model["m"].bias.shape, 1.0)
    model["m"].weight.data, model["m"].bias.data = weight.clone(), bias.clone()
    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=3, target_modules=["m"], use_dora=True), model)
    tensors = {}
    for name, parameter in model.named_parameters():
        suffix = name.removeprefix("m.").replace(".default", "")
        if "lora" in suffix:
            parameter.data = filled(case, suffix, parameter)
            tensors[suffix] = list(parameter.shape)
    model["m"].merge()
    merged = model["m"].base_layer
    return dict(alpha=3.0, strength=strength, tensors=tensors, weight=list(weight.shape),
                merged=[[float(f"{x:.7g}") for x in part.flatten()] for part in (merged.weight, merged.bias)])


def write_forms():
    cases = {case: form(case, *of) for case, of in FORMS.items()}
    cases |= {"peft_dora": peft_form("peft_dora", "linear"), "peft_dora_conv": peft_form("peft_dora_conv", "conv3")}
    lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(of)}" for case, of in cases.items())
    (FOLDER / "forms.json").write_text("{" + lines + "}\n")


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_forms()
    make = lambda: {tag: random_weights.fill(UNet2DConditionModel(**config), f"sdxl-{tag}") for tag, config in UNETS.items()}
    save = lambda name, x: np.save(FOLDER / f"{name}.npy", x.numpy())
    x_T = uniform("x_T", (1, 4, SIDE, SIDE))

    def sample(name, adapters, small=None, ratio=0):
        unets = make()
        pipeline = pipeline_of(unets["sdxl"])
        if "a" in adapters:
            load_a(pipeline)
        if "b" in adapters:
            load_b(pipeline, make()["sdxl"])
        if adapters:
            pipeline.set_adapters(list(adapters), list(adapters.values()))
        save(name, stitched(pipeline, unets.get(small), ratio, pipeline.unet, latents=x_T))

    sample("a", {"a": 0.8})
    sample("b", {"b": 1.0})
    sample("a_b", {"a": 0.8, "b": -0.5})
    sample("stitched_b", {"b": 1.0}, "ssd1b", 0.3)

    for tag, called in [("ssd1b", lambda name: name), ("koala_700m", second_was_third)]:
        unets = make()
        print(tag, merge_a(unets[tag], unets["sdxl"], called), "of", len(modules("unet", unets["sdxl"])))
        pipeline = pipeline_of(unets[tag])
        save(tag, stitched(pipeline, None, 0, pipeline.unet, latents=x_T))


if __name__ == "__main__":
    main()
