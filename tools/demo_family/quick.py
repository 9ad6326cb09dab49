"""U-Nets, ControlNets and decoders that learn faster on a CPU; what they compute is the same up to rounding."""
import ctypes

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>


def place(network, device):
    """The network on its device, with convolutions that find the channels last, as they are fast. On a CPU
    GroupNorm does, too (PyTorch's, of channels-last tensors, is a third of a step), and attention is two plain
    products."""
    network = network.to(device, memory_format=torch.channels_last)
    if device == "cpu":
        keep_freed_memory()
        for module in network.modules():
            if type(module) is nn.GroupNorm:
                module.__class__ = GroupNorm
        network.set_attn_processor(AttnProcessor())
    return network


def keep_freed_memory():
    """Else glibc hands it back to the kernel and gets it again page by page, zeroed: up to a third of a step."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most it takes
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


class GroupNorm(nn.GroupNorm):
    def forward(self, x):
        if x.dim() != 4:  # the autoencoder's attention has (N, C, H W)
            return super().forward(x)
        return Normalise.apply(x, self.weight, self.bias, self.num_groups, self.eps)


class Normalise(torch.autograd.Function):
    """GroupNorm of (N, C, H, W) by sums over (N, H W, C), as channels-last memory lies. With x^ = (x - mean) rstd, n
    elements a group and g the gradient of x^,

        dx = rstd (g - sum(g) / n - x^ sum(g x^) / n),

    whose sums over a group are sums of channels'."""

    @staticmethod
    def forward(ctx, x, weight, bias, groups, eps):
        N, C, H, W = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(N, H * W, C)
        f = flat.float()
        mean = mean_of_groups(f.sum(1) / (H * W), groups)
        variance = mean_of_groups(f.square().sum(1) / (H * W), groups) - mean.square()
        rstd = (variance.clamp(min=0) + eps).rsqrt()
        scale = rstd * weight
        y = torch.addcmul((bias - mean * scale)[:, None], f, scale[:, None]).to(x.dtype)
        ctx.groups = groups
        ctx.save_for_backward(flat, weight, mean, rstd)
        return y.view(N, H, W, C).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, dy):
        flat, weight, mean, rstd = ctx.saved_tensors
        N, C, H, W = dy.shape
        f, g = flat.float(), dy.permute(0, 2, 3, 1).reshape(N, H * W, C).float()
        dbias = g.sum(1)
        dweight = ((g * f).sum(1) - mean * dbias) * rstd
        first, second = (mean_of_groups(v * weight, ctx.groups) / (H * W) for v in (dbias, dweight))
        slope = -rstd.square() * second
        dx = torch.addcmul((-rstd * first - mean * slope)[:, None], f, slope[:, None])
        dx = dx.addcmul_(g, (rstd * weight)[:, None]).to(dy.dtype)
        return dx.view(N, H, W, C).permute(0, 3, 1, 2), dweight.sum(0), dbias.sum(0), None, None


def mean_of_groups(v, groups):
    """(N, C) of channels to (N, C), each its group's mean."""
    N, C = v.shape
    return v.view(N, groups, -1).mean(2, keepdim=True).expand(N, groups, C // groups).reshape(N, C)
