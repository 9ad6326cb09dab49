"""Writes tests/golden/control: ControlNets of tiny networks, their residuals and final latents of diffusers' pipelines with them.

    python3 tools/goldens/make_control_goldens.py

Random_weights.py's weights in f32; the U-Nets, texts and schedulers are those of make_sd_goldens.py and make_sdxl_goldens.py.
Stitched: before step i of N the pipeline gets the small U-Net if and only if (i + 1) / N <= ratio, as T-Stitch's; the ControlNet
runs at every step and its residuals go to whichever U-Net is active, or, where only the large one is steered, are dropped by the
small one. Tests make the folders again from the configurations written here. edges.json is OpenCV's Canny of the hints.
"""
import json
import os
import pathlib
import sys

import cv2
import numpy as np
import torch
from diffusers import (AutoencoderKL, ControlNetModel, DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       StableDiffusionControlNetInpaintPipeline, StableDiffusionControlNetPipeline,
                       StableDiffusionXLControlNetImg2ImgPipeline, StableDiffusionXLControlNetPipeline, UNet2DConditionModel)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.append(os.path.dirname(__file__))
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import make_inpainting_goldens as inpainting
import make_sd_goldens as sd
import make_sdxl_goldens as xl
import unets

SEED, SIDE, STEPS = 7, 8, 10
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/control"
ENCODER = ("down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim", "norm_num_groups",
           "transformer_layers_per_block", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim",
           "projection_class_embeddings_input_dim", "mid_block_type")
HINT = dict(conditioning_embedding_out_channels=(4, 8, 8, 16))


def net_of(unet, **more):
    return dict({k: v for k, v in unet.items() if k in ENCODER}, **HINT, **more)


SD = sd.UNETS["large"]
XL = xl.UNETS["sdxl"]
NETS = {
    "sd": net_of(SD),
    "sd_2": net_of(SD),  # other weights
    "sdxl": net_of(XL),
    # diffusers' "-mid" and "-small": transformers in the last level alone, and none at all
    "sdxl_mid": net_of(XL, down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"), transformer_layers_per_block=(1, 1, 1)),
    "sdxl_small": net_of(XL, down_block_types=("DownBlock2D",) * 3, mid_block_type="UNetMidBlock2D"),
    # by whose context the number of heads is known
    "sd1": dict(net_of(unets.TINY["sd1"]), block_out_channels=(32, 32, 32, 32)),
}


def hint(factor=37):
    """64 x 64 pixels."""
    i = np.arange(64 * 64 * 3)
    return Image.fromarray((i * factor % 251 ^ i // 7 % 5).astype(np.uint8).reshape(64, 64, 3))


def scene(channels):
    """Smooth shapes with steps, ramps and a little noise, for edges."""
    y, x = np.mgrid[0:41, 0:57].astype(np.float64)
    noise = np.asarray(hint(), np.float64).reshape(-1)[: 41 * 57].reshape(41, 57) / 32
    disc = 120 / (1 + np.exp((np.hypot(x - 20, y - 18) - 11) * 1.5))
    planes = [disc + 2 * x + noise, 90 * ((x + y) % 23 > 11) + noise, 3 * y + 60 * (x > 40) * (y > 12) - noise + 20]
    picture = np.clip(np.stack(planes[:channels], axis=-1), 0, 255).astype(np.uint8)
    return picture if channels == 3 else picture[:, :, 0]


def edges():
    cases = []
    for channels in (1, 3):
        picture = scene(channels)
        for low, high in ((100, 200), (40, 90), (0, 0), (30, 700), (400, 400)):
            found = cv2.Canny(picture, low, high)
            assert set(np.unique(found)) <= {0, 255}
            rows = ["".join("#" if e else "." for e in row) for row in found]
            cases.append(dict(channels=channels, low=low, high=high, edges=rows))
    pictures = {str(channels): scene(channels).reshape(-1).tolist() for channels in (1, 3)}
    (FOLDER / "edges.json").write_text(json.dumps(dict(width=57, height=41, pictures=pictures, cases=cases), separators=(",", ":")) + "\n")


def control_modules(model):
    """{module of diffusers: module of cldm}, as the constructor of the original ControlNet counts."""
    names = unets.compvis_modules(model, sparse=False)
    names |= {k: v for k, v in zip(["controlnet_cond_embedding.conv_in"] + [f"controlnet_cond_embedding.blocks.{i}" for i in range(6)] +
                                   ["controlnet_cond_embedding.conv_out"], [f"input_hint_block.{2 * i}" for i in range(8)])}
    names |= {f"controlnet_down_blocks.{i}": f"zero_convs.{i}.0" for i in range(len(model.controlnet_down_blocks))}
    return names | {"controlnet_mid_block": "middle_block_out.0"}


def unsteered(unet):
    """The U-Net, which from now on drops the residuals."""
    forward = unet.forward
    unet.forward = lambda *args, down_block_additional_residuals, mid_block_additional_residual, **more: forward(*args, **more)
    return unet


def stitched(pipeline, small, ratio, large, steps, **arguments):
    """The final latents."""
    def serve(step):
        pipeline.unet = small if (step + 1) / steps() <= ratio else large

    def after(pipe, step, timestep, tensors):
        serve(step + 1)
        return tensors

    pipeline.unet = small if small is not None and 1 / STEPS <= ratio else large
    return pipeline(num_inference_steps=STEPS, output_type="latent", callback_on_step_end=after, **arguments).images


def residuals(net, x, timestep, context, picture, strength, added=None):
    pixels = torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)[None]
    down, middle = net(x, timestep, encoder_hidden_states=context, controlnet_cond=pixels, conditioning_scale=strength,
                       added_cond_kwargs=added, return_dict=False)
    return [*down, middle]


def save(name, x):
    np.save(FOLDER / f"{name}.npy", x.numpy())


def save_residuals(name, net, unet, x, context, added=None):
    """Of one evaluation every third number of each residual, channels last; and what the U-Net makes of them."""
    with_net = residuals(net, x, 741, context, hint(), 0.8, added)
    save(f"{name}_residuals", torch.cat([r.permute(0, 2, 3, 1).reshape(-1) for r in with_net])[::3].contiguous())
    y = unet(x, 741, encoder_hidden_states=context, added_cond_kwargs=added, down_block_additional_residuals=with_net[:-1],
             mid_block_additional_residual=with_net[-1]).sample
    save(f"{name}_steered", y)


def stable_diffusion(nets):
    text = sd.fill(CLIPTextModel(CLIPTextConfig(**sd.TEXT, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)), "sd-text")
    words = sd.tokenizer()
    words.model_max_length = 77
    vae = sd.fill(AutoencoderKL(**inpainting.VAE), "sd-vae")
    networks = {tag: sd.fill(UNet2DConditionModel(**sd.UNETS[tag]), f"sd-{tag}") for tag in ("large", "small")}
    x_T = xl.uniform("x_T", (1, 4, SIDE, SIDE))
    save_residuals("sd", nets["sd"], networks["large"], x_T, xl.uniform("context", (1, 7, 64)))
    schedulers = {"pndm": lambda: PNDMScheduler.from_config(dict(sd.SCHEDULER, skip_prk_steps=True)),
                  "ddim": lambda: DDIMScheduler.from_config(dict(sd.SCHEDULER, clip_sample=False))}
    parts = dict(vae=vae, text_encoder=text, tokenizer=words, safety_checker=None, feature_extractor=None, requires_safety_checker=False)

    def sample(name, scheduler, control, image, small=None, ratio=0, **more):
        pipeline = StableDiffusionControlNetPipeline(unet=networks["large"], controlnet=control, scheduler=schedulers[scheduler](), **parts)
        pipeline.set_progress_bar_config(disable=True)
        save(name, stitched(pipeline, small, ratio, networks["large"], lambda: len(pipeline.scheduler.timesteps), prompt=sd.PROMPT,
                            negative_prompt=sd.NEGATIVE, guidance_scale=sd.SCALE, image=image, latents=x_T, **more))

    sample("sd_pndm", "pndm", nets["sd"], hint(), controlnet_conditioning_scale=0.8)
    sample("sd_interval", "pndm", nets["sd"], hint(), control_guidance_start=0.2, control_guidance_end=0.75)
    sample("sd_two", "ddim", [nets["sd"], nets["sd_2"]], [hint(), hint(91)], controlnet_conditioning_scale=[0.8, 0.5],
           control_guidance_start=[0.0, 0.3], control_guidance_end=[0.6, 1.0])
    # BK-SDM-Small before Stable Diffusion, which alone is steered.
    sample("sd_stitched", "pndm", nets["sd"], hint(), unsteered(networks["small"]), 0.4, controlnet_conditioning_scale=0.8)

    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mean
    for network, channels in [("large", 4), ("inpaint", 9)]:
        unet = networks["large"] if channels == 4 else sd.fill(UNet2DConditionModel(**dict(sd.UNETS["large"], in_channels=9)), "sd-inpaint")
        pipeline = StableDiffusionControlNetInpaintPipeline(unet=unet, controlnet=nets["sd"], scheduler=schedulers["ddim"](), **parts)
        pipeline.set_progress_bar_config(disable=True)
        x = pipeline(sd.PROMPT, negative_prompt=sd.NEGATIVE, image=inpainting.picture(), mask_image=inpainting.mask(), control_image=hint(91),
                     height=64, width=64, strength=1.0, num_inference_steps=STEPS, guidance_scale=sd.SCALE,
                     controlnet_conditioning_scale=0.8, generator=torch.Generator().manual_seed(SEED), output_type="latent").images
        save(f"sd_{network}", x)


def sdxl(nets):
    networks = {tag: sd.fill(UNet2DConditionModel(**xl.UNETS[tag]), f"sdxl-{tag}") for tag in ("sdxl", "ssd1b")}
    parts, x_T = xl.parts(), xl.uniform("x_T", (1, 4, SIDE, SIDE))
    added = dict(text_embeds=xl.uniform("pooled", (1, xl.POOLED)), time_ids=torch.tensor([[64.0, 64, 0, 0, 64, 64]]))
    for tag in ("sdxl", "sdxl_mid", "sdxl_small"):
        save_residuals(tag, nets[tag], networks["sdxl"], x_T, xl.uniform("context", (1, 7, sum(xl.WIDTHS))), added)

    def make(kind, control):
        pipeline = kind(unet=networks["sdxl"], controlnet=control, scheduler=EulerDiscreteScheduler(**xl.SCHEDULER), add_watermarker=False, **parts)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    said = dict(prompt=xl.PROMPT, negative_prompt=xl.NEGATIVE, guidance_scale=xl.SCALE)

    def sample(name, control, image, small=None, ratio=0, **more):
        pipeline = make(StableDiffusionXLControlNetPipeline, control)
        save(name, stitched(pipeline, networks.get(small), ratio, networks["sdxl"], lambda: len(pipeline.scheduler.timesteps), image=image,
                            latents=x_T, **said, **more))

    sample("sdxl", nets["sdxl"], hint(), controlnet_conditioning_scale=0.5)
    sample("sdxl_small", nets["sdxl_small"], hint(), controlnet_conditioning_scale=0.5)
    for ratio in (0.3, 0.5):
        sample(f"ssd1b_{ratio}", nets["sdxl"], hint(), "ssd1b", ratio, controlnet_conditioning_scale=0.5)
    sample("sdxl_two", [nets["sdxl"], nets["sdxl_mid"]], [hint(), hint(91)], "ssd1b", 0.3, controlnet_conditioning_scale=[0.5, 0.7],
           control_guidance_start=[0.0, 0.1], control_guidance_end=[0.8, 1.0])
    pipeline = make(StableDiffusionXLControlNetImg2ImgPipeline, nets["sdxl"])
    save("sdxl_img2img", pipeline(image=xl.uniform("picture", (1, 4, SIDE, SIDE)), control_image=hint(), strength=0.6,
                                  num_inference_steps=STEPS, controlnet_conditioning_scale=0.5, output_type="latent",
                                  generator=torch.Generator().manual_seed(SEED), **said).images)


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    edges()
    lines = ",\n".join(f"{json.dumps(tag)}: {json.dumps(dict(_class_name='ControlNetModel', **config))}" for tag, config in NETS.items())
    (FOLDER / "configs.json").write_text("{" + lines + "}\n")
    nets = {tag: sd.fill(ControlNetModel(**config), f"control-{tag}") for tag, config in NETS.items()}
    (FOLDER / "sd1_names.json").write_text(json.dumps(control_modules(nets["sd1"]), indent=0) + "\n")
    for tag, net in nets.items():
        print(tag, sum(p.numel() for p in net.parameters()))
    stable_diffusion(nets)
    sdxl(nets)


if __name__ == "__main__":
    main()
