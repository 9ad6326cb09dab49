#!/usr/bin/env python3
"""Writes tests/hostile/safetensors: broken files and a few odd but legal ones, with the answer to each in manifest.txt.

Small and few: the cases of tests/io/safetensors_test.cpp that read best as files, seeds for fuzz/fuzz_safetensors, and the place
for files that a fuzzer or a user finds (keep their lines at the end of CASES).
"""
import json
import pathlib
import struct

import corpus

FOLDER = pathlib.Path(__file__).parent / "safetensors"


def container(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensors(*entries, metadata=None):
    header = {"__metadata__": metadata} if metadata is not None else {}
    for name, dtype, shape, begin, end in entries:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    return json.dumps(header, separators=(",", ":"))


F1 = struct.pack("<f", 1.0)
X = ("x", "F32", [1], 0, 4)
ESCAPED = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'

CASES = {
    "good_small": ("accepted", container(tensors(X, ("y", "BF16", [2, 1], 4, 8), metadata={"format": "pt"}), F1 + b"\x80\x3f\x00\x40")),
    "good_types": ("accepted", container(tensors(("d", "F64", [1], 0, 8), ("h", "F16", [2], 8, 12)), struct.pack("<dee", 0.5, 1, 2))),
    "good_empty": ("accepted", container("{}")),
    "good_leading_space": ("accepted", container(" \n" + tensors(X), F1)),
    "good_trailing_space": ("accepted", container(tensors(X) + "   \n", F1)),
    "good_zero_sized": ("accepted", container(tensors(("e", "F32", [2, 0], 0, 0), X, ("f", "F32", [0], 4, 4)), F1)),
    "good_scalar": ("accepted", container(tensors(("s", "F32", [], 0, 4)), F1)),
    "good_out_of_order": ("accepted", container(tensors(("b", "F32", [1], 4, 8), X), F1 + F1)),
    "good_unaligned": ("accepted", container(tensors(("h", "BF16", [1], 0, 2), ("x", "F32", [1], 2, 6)) + " ", b"\x80\x3f" + F1)),
    "good_null_metadata": ("accepted", container('{"__metadata__":null}')),
    "seven_bytes": ("ST_TOO_SMALL", b"\x02\x01\x00\x00\x00\x00\x00"),
    "zeros": ("FMT_UNKNOWN", bytes(64)),
    "lfs_pointer": ("FMT_UNKNOWN", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1048576\n"),
    "html": ("FMT_UNKNOWN", b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n"),
    "pickle": ("FMT_MISMATCH", b"\x80\x02}q\x00X\x01\x00\x00\x00xq\x01K\x01s."),
    "zip": ("FMT_MISMATCH", b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00archive/data.pkl"),
    "header_length_zero": ("ST_HEADER_LEN", container("{}", length=0)),
    "header_length_wraps": ("ST_HEADER_LEN", container("{}", length=2**64 - 8)),
    "header_not_utf8": ("ST_HEADER_UTF8", container(b'{"\xff":1}')),
    "header_nul": ("ST_HEADER_JSON", container(b"{}\0" + tensors(X).encode(), F1)),
    "header_bom": ("ST_HEADER_JSON", container(b"\xef\xbb\xbf{}")),
    "header_array": ("ST_HEADER_JSON", container("[]")),
    "header_two_values": ("ST_HEADER_JSON", container("{}{}")),
    "surrogate": ("ST_HEADER_JSON", container('{"\\ud800":{}}')),
    "deep": ("JSON_DEPTH", container('{"x":{"y":' + "[" * 70 + "]" * 70 + "}}")),
    "duplicate_escaped": ("ST_DUPLICATE_KEY", container(ESCAPED, F1 + F1)),
    "metadata_number": ("ST_METADATA", container('{"__metadata__":{"epoch":3}}')),
    "no_shape": ("ST_ENTRY", container('{"x":{"dtype":"F32","data_offsets":[0,4]}}', F1)),
    "dtype_lower_case": ("ST_DTYPE", container(tensors(("x", "f32", [1], 0, 4)), F1)),
    "dtype_f8": ("accepted", container(tensors(("x", "F8_E4M3", [4], 0, 4)), F1)),
    "dtype_f8_fnuz": ("ST_DTYPE_UNSUPPORTED", container(tensors(("x", "F8_E4M3FNUZ", [4], 0, 4)), F1)),
    "f8_nan": ("MODEL_NONFINITE", container(tensors(("x", "F8_E4M3", [4], 0, 4)), b"\0\0\x7f\0")),
    "f8_infinite": ("MODEL_NONFINITE", container(tensors(("x", "F8_E5M2", [4], 0, 4)), b"\0\0\x7c\0")),
    "scale_good_of_rows": ("accepted", container(tensors(("m.weight", "F8_E4M3", [2, 2], 0, 4), ("m.scale_weight", "F32", [2], 4, 12)), F1 * 3)),
    "scale_nan": ("MODEL_NONFINITE", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), ("m.scale_weight", "F32", [], 4, 8)), F1 + struct.pack("<f", float("nan")))),
    "scale_of_nothing": ("QUANT_SCALE", container(tensors(("m.scale_weight", "F32", [], 0, 4)), F1)),
    "scale_of_f16": ("QUANT_SCALE", container(tensors(("m.weight", "F16", [2], 0, 4), ("m.weight_scale", "F32", [], 4, 8)), F1 * 2)),
    "scale_twice": ("QUANT_SCALE", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), ("m.weight_scale", "F32", [], 4, 8), ("m.scale_weight", "F32", [], 8, 12)), F1 * 3)),
    "scale_of_columns": ("QUANT_SCALE", container(tensors(("m.weight", "F8_E4M3", [2, 2], 0, 4), ("m.scale_weight", "F32", [1, 2], 4, 12)), F1 * 3)),
    "scale_none": ("QUANT_SCALE", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), ("m.scale_weight", "F32", [4, 0], 4, 4)), F1)),
    "scale_integers": ("QUANT_SCALE", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), ("m.scale_weight", "I32", [], 4, 8)), F1 * 2)),
    "scale_unknown": ("QUANT_FORMAT", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), ("m.weight_scale_2", "F32", [], 4, 8)), F1 * 2)),
    "format_nvfp4": ("QUANT_FORMAT", container(tensors(("m.comfy_quant", "U8", [19], 0, 19)), b'{"format": "nvfp4"}')),
    "format_rotated": ("QUANT_FORMAT", container(tensors(("m.comfy_quant", "U8", [46], 0, 46)), b'{"format":"int8_tensorwise", "convrot": true} ')),
    "format_no_json": ("JSON_SYNTAX", container(tensors(("m.comfy_quant", "U8", [4], 0, 4)), b"{{{{")),
    "format_other_type": ("QUANT_FORMAT", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), metadata={"_quantization_metadata": '{"layers": {"m": {"format": "float8_e5m2"}}}'}), F1)),
    "format_without_scale": ("QUANT_SCALE", container(tensors(("m.weight", "F8_E4M3", [4], 0, 4), metadata={"_quantization_metadata": '{"layers": {"m": {"format": "float8_e4m3fn"}}}'}), F1)),
    "format_no_layers": ("QUANT_FORMAT", container(tensors(X, metadata={"_quantization_metadata": "[]"}), F1)),
    "shape_negative": ("ST_SHAPE", container(tensors(("x", "F32", [-1], 0, 4)), F1)),
    "shape_float": ("ST_SHAPE", container('{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', F1)),
    "shape_wraps": ("ST_OVERFLOW", container(tensors(("x", "F32", [4194305, 4194305, 211106198978564], 0, 16)), F1 * 4)),
    "shape_wraps_but_zero": ("ST_OVERFLOW", container(tensors(("x", "F32", [2**62, 2**62, 0], 0, 0)))),
    "offsets_reversed": ("ST_OFFSETS", container(tensors(("x", "F32", [1], 4, 0)), F1)),
    "offsets_three": ("ST_OFFSETS", container('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}', F1)),
    "span_mismatch": ("ST_SPAN_MISMATCH", container(tensors(("x", "F64", [4], 0, 16)), F1 * 4)),
    "half_bytes": ("ST_MISALIGNED", container(tensors(("x", "F4", [3], 0, 1)), b"\0")),
    "hole": ("ST_HOLE", container(tensors(X, ("y", "F32", [1], 8, 12)), F1 * 3)),
    "overlap": ("ST_OVERLAP", container(tensors(("x", "F32", [2], 0, 8), ("y", "F32", [2], 4, 12)), F1 * 3)),
    "truncated": ("ST_TRUNCATED", container(tensors(("x", "F32", [4], 0, 16)), F1 * 3)),
    "trailing_zip": ("ST_TRAILING", container(tensors(X), F1 + b"PK\x03\x04")),
    "nan": ("MODEL_NONFINITE", container(tensors(X), struct.pack("<f", float("nan")))),
    "too_large_for_bf16": ("MODEL_NONFINITE", container(tensors(X), struct.pack("<I", 0x7F7FFFFF))),
}

if __name__ == "__main__":
    corpus.write(FOLDER, ".safetensors", CASES)
