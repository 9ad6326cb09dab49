"""Pictures from prompts by DDIM with guidance, as the program paints them by default for such a folder."""
import torch

import models
import tokens

KNOWN = ("red heart", "dog face", "pizza", "rocket", "sunflower", "grinning face", "cat face", "Christmas tree",
         "umbrella", "guitar", "red apple", "fire", "blue book", "octopus", "airplane", "birthday cake")
UNSEEN = ("blue giraffe", "pink four leaf clover", "skull on a blue background", "orange fried shrimp",
          "grinning face with sweat", "cat with sunglasses", "blue apple", "dog and pizza")


@torch.no_grad()
def paint(unet, text_encoder, tokenize, prompts, steps=25, scale=4.5, seed=0):
    """Latents (N, 4, 16, 16) of unit scale."""
    ids = tokens.encode(tokenize, ["", *prompts]).to(unet.device)
    null, context = text_encoder(ids).last_hidden_state.split([1, len(prompts)])
    both = torch.cat([null.expand_as(context), context])
    scheduler = models.scheduler()
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(prompts), 4, models.LATENT_SIDE, models.LATENT_SIDE, generator=generator).to(unet.device)
    for t in scheduler.timesteps:
        without, within = unet(torch.cat([x, x]), t, both).sample.chunk(2)
        x = scheduler.step(without + scale * (within - without), t, x).prev_sample
    return x
