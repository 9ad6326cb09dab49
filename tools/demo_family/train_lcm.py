"""Distils words-l, guided, into `words-lcm`, a LoRA that paints in four steps without guidance.

    python3 tools/demo_family/train_lcm.py --work ~/words --start assets/words/words-l --out words-lcm.safetensors
    tstitch sample -m words-l --lora words-lcm.safetensors --sampler lcm --steps 4 --cfg-scale 1 -p "red heart"

Latent consistency distillation (Luo et al., arXiv 2310.04378, as LCM-LoRA, 2311.05556): what the student makes of a noisy
latent shall be what it makes of that latent one DDIM step of the guided teacher further, of 50 steps. Views and captions
are those of train_words.py. Resumes by itself from words-lcm/checkpoint.pt in --work; writes the running average under
diffusers' names.
"""
import os

import torch

import exported
import lora
import quick
import tokens
import training
from latents import SHARDS, Draws, Latents
from train_words import BATCH, Captions, Noise

SEED = 10
STEPS, TRAINED = 50, 1000  # of the teacher's DDIM; of the noise schedule
SCALES = 3.0, 8.0  # of the teacher's guidance, drawn anew for every view
SIGMA_DATA, TIMESTEP_SCALING = 0.5, 10.0  # LCMScheduler's boundary
HUBER = 1e-3


class Consistency:
    """f(x_t, t) = c_skip(t) x_t + c_out(t) x0(x_t, t), which is x_t at t = 0."""

    def __init__(self, noise):
        self.abar = noise.abar

    def level(self, t):
        """sqrt(abar_t) and sqrt(1 - abar_t), (N, 1, 1, 1)."""
        abar = self.abar[t].view(-1, 1, 1, 1)
        return abar.sqrt(), (1 - abar).sqrt()

    def x0(self, x_t, eps, t):
        alpha, sigma = self.level(t)
        return (x_t - sigma * eps) / alpha

    def __call__(self, x_t, eps, t):
        scaled = TIMESTEP_SCALING * t.view(-1, 1, 1, 1).float()
        skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        out = scaled / (scaled**2 + SIGMA_DATA**2).sqrt()
        return skip * x_t + out * self.x0(x_t, eps, t)

    def ddim(self, x_t, eps, t, before):
        alpha, sigma = self.level(before)
        return alpha * self.x0(x_t, eps, t) + sigma * eps


def teacher_step(teacher, consistency, x_t, t, before, context, null, scale):
    """x at the timestep before t, by one guided DDIM step."""
    both = torch.cat([null.expand_as(context), context])
    without, within = teacher(torch.cat([x_t, x_t]), torch.cat([t, t]), both).sample.float().chunk(2)
    return consistency.ddim(x_t, without + scale * (within - without), t, before)


def main():
    parser = training.parser_from_words_l(__doc__, out="a file, .safetensors", pictures=50_000, shards=SHARDS)
    parser.add_argument("--rank", type=int, default=16)
    args = parser.parse_args()
    work = os.path.expanduser(args.work)
    folder = os.path.join(work, "words-lcm")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    teacher, text_encoder = exported.networks(args.start)
    student = lora.add(exported.networks(args.start)[0], args.rank)
    teacher = quick.place(teacher, args.device).eval().requires_grad_(False)
    student = quick.place(student, args.device).train()
    text_encoder = text_encoder.eval().requires_grad_(False).to(args.device)
    run = training.Training(os.path.join(folder, "checkpoint.pt"), [student], steps=args.pictures // BATCH, peak_rate=1e-3,
                            warm_up=50, decay=0.99, seed=SEED)
    draws, captions, noise = Draws(Latents(work, args.device), BATCH, SEED, args.shards), Captions(SEED), Noise(args.device)
    consistency, autocast = Consistency(noise), training.autocast(args.device)
    for step in run.steps_left(BATCH, args.checkpoint_seconds):
        x0, views = draws(step)
        x0, ids = x0.to(args.device), captions(step, views).to(args.device)
        _, generator = run.draws()
        number = torch.randint(STEPS, (len(x0),), generator=generator)
        scale = torch.empty(len(x0), 1, 1, 1).uniform_(*SCALES, generator=generator).to(args.device)
        t = ((number + 1) * (TRAINED // STEPS) - 1).to(args.device)
        before = (t - TRAINED // STEPS).clamp(min=0)
        x_t = noise.add(x0, torch.randn(x0.shape, generator=generator).to(args.device), t)
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), autocast:
            context = text_encoder(ids).last_hidden_state
            null = text_encoder(tokens.encode(captions.tokenize, [""]).to(args.device)).last_hidden_state
            x_before = teacher_step(teacher, consistency, x_t, t, before, context, null, scale)
            target = consistency(x_before, student(x_before, before, context).sample.float(), before)
        with autocast:  # anew: autocast keeps what it rounded of the student's weights, without gradients, to its end
            predicted = consistency(x_t, student(x_t, t, context).sample.float(), t)
            loss = ((predicted - target).square() + HUBER**2).sqrt().mean() - HUBER
        run.update(loss)
    lora.write(run.average.modules[0], args.out)


if __name__ == "__main__":
    main()
