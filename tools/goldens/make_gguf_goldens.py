#!/usr/bin/env python3
"""Writes tests/golden/gguf: every block type of ggml as its package gguf writes and decodes it, Q8_0 and Q4_0 as it encodes them, and the
types of 8 bits of safetensors as PyTorch does.

types.gguf holds blocks of random bits with finite scales, types.safetensors the same numbers in f32. network.safetensors is a
small part of a U-Net, network_q8_0.gguf and network_q4_0.gguf what ComfyUI-GGUF's rules make of it; whole.safetensors and whole_q8_0.gguf
the same with an autoencoder beside it, by stable-diffusion.cpp's rules. fp8.safetensors holds all codes and scaled weights beside what they
stand for (NAME.expected).
"""
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

FOLDER = pathlib.Path(__file__).parents[2] / "tests/golden/gguf"

# Where the scales of a block lie: halves, in bytes.
SCALES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
          T.Q5_K: [0, 2], T.Q6_K: [208]}


def random_blocks(random, block_type, rows, per_row):
    """Blocks of random bits, (rows, bytes); scales of every finite kind."""
    size = gguf.GGML_QUANT_SIZES[block_type][1]
    blocks = random.integers(0, 256, (rows * per_row, size), dtype=np.uint8)
    for at in SCALES[block_type]:
        bits = random.integers(0, 1 << 16, rows * per_row, dtype=np.uint16)
        bits[(bits & 0x7C00) == 0x7C00] &= 0x83FF  # neither infinite nor NaN
        blocks[:, at:at + 2] = bits[:, None].view(np.uint8)
    return blocks.reshape(rows, per_row * size)


def write_types():
    random = np.random.default_rng(20)
    writer = gguf.GGUFWriter(FOLDER / "types.gguf", "sd1")
    writer.add_string("modelspec.title", "all types")
    writer.add_array("tokens", ["a", "b"])
    writer.add_bool("flag", True)
    expected = {}
    for block_type in SCALES:
        blocks = random_blocks(random, block_type, 4, 3)
        writer.add_tensor(block_type.name, blocks, raw_dtype=block_type)
        expected[block_type.name] = gguf.quants.dequantize(blocks, block_type)
    # A convolution that is stored as rows of 256.
    blocks = random_blocks(random, T.Q4_K, 9, 1)
    writer.add_array("comfy.gguf.orig_shape.conv", (16, 16, 3, 3))
    writer.add_tensor("conv", blocks, raw_dtype=T.Q4_K)
    expected["conv"] = gguf.quants.dequantize(blocks, T.Q4_K).reshape(16, 16, 3, 3)
    x = random.standard_normal((2, 3, 5), dtype=np.float32)
    for plain in (T.F32, T.F16, T.BF16):
        stored = gguf.quants.quantize(x, plain)
        writer.add_tensor(plain.name, stored, raw_dtype=plain)
        expected[plain.name] = gguf.quants.dequantize(stored, plain)
    writer.add_tensor("F64", x.astype(np.float64))
    expected["F64"] = x
    write(writer)
    save_file(expected, FOLDER / "types.safetensors")


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# Stays as it is: embeddings of time, first and last layers.
KEPT = ("time_embed", "conv_in", "conv_out", "input_blocks.0.0.weight")


def write_network(name, tensors, block_type, file_type, whole):
    writer = gguf.GGUFWriter(FOLDER / name, "sd1")
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    stored = {}
    for key, x in sorted(tensors.items()):
        reshapes = not whole and x.size % 256 == 0
        if x.ndim == 1 or x.size <= 1024:
            as_type = T.F32
        elif any(part in key for part in KEPT) or (x.shape[-1] % 32 and not reshapes):
            as_type = T.F16
        else:
            as_type = block_type
            if x.shape[-1] % 32:
                writer.add_array(f"comfy.gguf.orig_shape.{key}", x.shape)
                x = x.reshape(-1, 256)
        stored[key] = (gguf.quants.quantize(x, as_type), as_type)
    for key, (x, as_type) in stored.items():
        writer.add_tensor(key, x, raw_dtype=as_type)
    write(writer)


def write_networks():
    random = np.random.default_rng(21)

    def normal(*shape):
        return random.standard_normal(shape, dtype=np.float32) * np.float32(0.05)

    ties = np.arange(-64, 64, dtype=np.float32).reshape(4, 32)  # in halves of the unit
    ties[:, 0] = 127 * 2
    network = {
        "conv_in.weight": normal(32, 8, 3, 3),
        "down_blocks.0.downsamplers.0.conv.weight": normal(32, 32, 3, 3),
        "down_blocks.0.downsamplers.0.conv.bias": normal(32),
        "down_blocks.0.resnets.0.conv1.weight": normal(15, 15, 3, 3),
        "down_blocks.0.attentions.0.proj_in.weight": normal(64, 32),
        "mid_block.attentions.0.to_q.weight": np.concatenate([ties / 2, normal(28, 32) * 1e-4, np.zeros((8, 32), np.float32), normal(8, 32) * 1e5]),
        "mid_block.resnets.0.conv1.weight": normal(16, 16, 3, 3) ** 3,
        "time_embedding.linear_1.weight": normal(64, 32),
        "small.weight": normal(32, 32),
    }
    save_file(network, FOLDER / "network.safetensors")
    write_network("network_q8_0.gguf", network, T.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0, False)
    write_network("network_q4_0.gguf", network, T.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0, False)
    whole = {f"model.diffusion_model.{key}": network[key] for key in list(network)[1:6]}
    whole["first_stage_model.decoder.mid.attn_1.q.weight"] = normal(64, 64, 1, 1)
    save_file(whole, FOLDER / "whole.safetensors")
    write_network("whole_q8_0.gguf", whole, T.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0, True)


def write_fp8():
    codes = torch.arange(256, dtype=torch.int32).to(torch.uint8).reshape(16, 16)
    random = torch.Generator().manual_seed(22)
    tensors = {}
    for name, dtype in (("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)):
        tensors[f"{name}.codes"] = codes.view(dtype)
        tensors[f"{name}.codes.expected"] = codes.view(dtype).float()

    def add(module, key, dtype, scale, expected_scale):
        q = (torch.randn(8, 12, generator=random) * 3).to(dtype)
        tensors[f"{module}.weight"] = q
        tensors[f"{module}.{key}"] = scale
        tensors[f"{module}.weight.expected"] = (q.float().reshape(8, -1, 12 // expected_scale.shape[-1]) * expected_scale.unsqueeze(-1)).reshape(8, 12)

    def scale(*shape):
        return torch.rand(shape, generator=random) + 0.01

    one, rows, blocks = scale(), scale(8), scale(8, 3, 1)
    add("one", "scale_weight", torch.float8_e4m3fn, one, one.reshape(1, 1))
    tensors["one.scale_input"] = torch.ones(())
    add("vector", "weight_scale", torch.float8_e4m3fn, one.reshape(1), one.reshape(1, 1))
    tensors["vector.input_scale"] = torch.ones(())
    add("rows", "weight_scale", torch.float8_e5m2, rows, rows.reshape(8, 1))
    add("column", "weight_scale", torch.float8_e4m3fn, rows.reshape(8, 1), rows.reshape(8, 1))
    add("blocks", "scale_weight", torch.float8_e4m3fn, blocks, blocks.reshape(8, 3))
    half = rows.to(torch.bfloat16)
    add("halves", "weight_scale", torch.float8_e4m3fn, half, half.float().reshape(8, 1))
    q = torch.randint(-127, 128, (8, 12), generator=random, dtype=torch.int8)
    tensors |= {"bytes.weight": q, "bytes.weight_scale": rows.reshape(8, 1), "bytes.weight.expected": q.float() * rows.reshape(8, 1)}
    tensors["bytes.comfy_quant"] = torch.tensor(list(b'{"format": "int8_tensorwise"}'), dtype=torch.uint8)
    tensors["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    metadata = {"_quantization_metadata": '{"format_version": "1.0", "layers": {"rows": {"format": "float8_e5m2"}}}'}
    save_torch({name: tensor.clone() for name, tensor in tensors.items()}, FOLDER / "fp8.safetensors", metadata)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    write_types()
    write_networks()
    write_fp8()
