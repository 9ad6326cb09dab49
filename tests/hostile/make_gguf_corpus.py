#!/usr/bin/env python3
"""Writes tests/hostile/gguf: broken GGUF files and a few odd but legal ones, with the answer to each in manifest.txt.

Everything is written by hand, so that each file is wrong in one way. Files that a fuzzer or a user finds go to the end of CASES.
"""
import pathlib
import struct

import corpus

FOLDER = pathlib.Path(__file__).parent / "gguf"

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
FULL = 2**64 - 1


def text(value, length=None):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(value) if length is None else length) + value


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def array(kind, values, count):
    return struct.pack("<IQ", kind, count) + values


def shape_of(name, *extents, kind=I32, count=None):
    return key(f"comfy.gguf.orig_shape.{name}", ARRAY, array(kind, struct.pack(f"<{len(extents)}i", *extents), len(extents) if count is None else count))


def tensor(name, extents, kind=0, offset=0, dimensions=None):
    """Extents as the file has them: the innermost first."""
    return text(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents) if dimensions is None else dimensions, *extents, kind, offset)


def container(tensors=(), keys=(), data=b"", *, magic=b"GGUF", version=3, tensor_count=None, key_count=None, alignment=32):
    head = magic + struct.pack("<IQQ", version, len(tensors) if tensor_count is None else tensor_count, len(keys) if key_count is None else key_count)
    head += b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data


F1 = struct.pack("<f", 1.0)
X = tensor("x", [1])
PAD = F1 + bytes(28)
Q8 = struct.pack("<e", 0.5) + bytes(range(32))
Q4K = struct.pack("<ee", 0.5, 0.25) + bytes(range(140))
ALIGNMENT = "general.alignment"

CASES = {
    "good_small": ("accepted", container([X], [key("general.architecture", STRING, text("sd1"))], F1)),
    "good_version_2": ("accepted", container([X], [], F1, version=2)),
    "good_nothing": ("accepted", container()),
    "good_padded": ("accepted", container([X], [], PAD)),
    "good_out_of_order": ("accepted", container([tensor("b", [1], offset=32), X], [], PAD + F1)),
    "good_blocks": ("accepted", container([tensor("q", [32, 1], 8), tensor("k", [256], 12, 64)], [], Q8 + bytes(30) + Q4K)),
    "good_orig_shape": ("accepted", container([tensor("k", [256], 12)], [shape_of("k", 4, 8, 8, 1, 1)], Q4K)),
    "good_orig_shape_of_none": ("accepted", container([X], [shape_of("y", 4)], F1)),
    "good_alignment": ("accepted", container([X, tensor("y", [1], offset=8)], [key(ALIGNMENT, U32, struct.pack("<I", 8))], F1 + bytes(4) + F1, alignment=8)),
    "good_values": ("accepted", container([X], [key("a", ARRAY, array(STRING, text("") + text("b"), 2)), key("b", BOOL, b"\x02"), key("c", ARRAY, array(U64, b"", 0))], F1)),
    "magic_only": ("GGUF_TRUNCATED", b"GGUF"),
    "counts_cut": ("GGUF_TRUNCATED", container()[:23]),
    "version_0": ("GGUF_VERSION", container([X], [], F1, version=0)),
    "version_1": ("GGUF_VERSION", container([X], [], F1, version=1)),
    "version_4": ("GGUF_VERSION", container([X], [], F1, version=4)),
    "big_endian": ("GGUF_VERSION", container([X], [], F1, version=0x03000000)),
    "tensor_count_huge": ("GGUF_COUNT", container([X], [], F1, tensor_count=FULL)),
    "tensor_count_wraps": ("GGUF_COUNT", container([X], [], F1, tensor_count=2**63 // 16)),
    "key_count_huge": ("GGUF_COUNT", container([X], [], F1, key_count=FULL)),
    "tensor_count_one_more": ("GGUF_NAME", container([X], [], PAD * 2, tensor_count=2)),
    "key_count_one_more": ("GGUF_NAME", container([X], [], PAD, key_count=1)),
    "key_long": ("GGUF_KEY", container([X], [key("k" * 65536, BOOL, b"\0")], F1)),
    "key_empty": ("GGUF_KEY", container([X], [key("", BOOL, b"\0")], F1)),
    "key_length_wraps": ("GGUF_TRUNCATED", container([X], [text("key", length=FULL) + struct.pack("<IB", BOOL, 0)], F1)),
    "key_not_utf8": ("GGUF_UTF8", container([X], [key(b"\xff", BOOL, b"\0")], F1)),
    "key_twice": ("GGUF_DUPLICATE", container([X], [key("a", BOOL, b"\0")] * 2, F1)),
    "value_type_13": ("GGUF_VALUE", container([X], [key("a", 13, bytes(8))], F1)),
    "string_gibibyte": ("GGUF_TRUNCATED", container([X], [key("a", STRING, text("b", length=2**30))], F1)),
    "string_not_utf8": ("GGUF_UTF8", container([X], [key("a", STRING, text(b"\xc0\x80"))], F1)),
    "array_2_63": ("GGUF_TRUNCATED", container([X], [key("a", ARRAY, array(0, b"", 2**63))], F1)),
    "array_wraps": ("GGUF_TRUNCATED", container([X], [key("a", ARRAY, array(U64, bytes(8), 2**61 + 1))], F1)),
    "array_of_strings_huge": ("GGUF_TRUNCATED", container([X], [key("a", ARRAY, array(STRING, text("b"), 2**60))], F1)),
    "array_of_strings_long": ("GGUF_TRUNCATED", container([X], [key("a", ARRAY, array(STRING, text("b", length=FULL), 1))], F1)),
    "array_nested": ("GGUF_VALUE", container([X], [key("a", ARRAY, array(ARRAY, array(0, b"\0", 1), 1))], F1)),
    "array_type_99": ("GGUF_VALUE", container([X], [key("a", ARRAY, array(99, b"\0", 1))], F1)),
    "alignment_0": ("GGUF_ALIGNMENT", container([X], [key(ALIGNMENT, U32, bytes(4))], F1)),
    "alignment_3": ("GGUF_ALIGNMENT", container([X], [key(ALIGNMENT, U32, struct.pack("<I", 24))], F1)),
    "alignment_huge": ("GGUF_ALIGNMENT", container([X], [key(ALIGNMENT, U32, struct.pack("<I", 2**30))], F1)),
    "alignment_string": ("GGUF_ALIGNMENT", container([X], [key(ALIGNMENT, STRING, text("32"))], F1)),
    "alignment_u64": ("GGUF_ALIGNMENT", container([X], [key(ALIGNMENT, U64, struct.pack("<Q", 32))], F1)),
    "name_long": ("GGUF_NAME", container([tensor("n" * 257, [1])], [], F1)),
    "name_empty": ("GGUF_NAME", container([tensor("", [1])], [], PAD)),
    "name_length_wraps": ("GGUF_TRUNCATED", container([text("x", length=FULL) + struct.pack("<IQIQ", 1, 1, 0, 0)], [], F1)),
    "name_not_utf8": ("GGUF_UTF8", container([tensor(b"\x80", [1])], [], F1)),
    "name_twice": ("GGUF_DUPLICATE", container([X, tensor("x", [1], offset=32)], [], PAD + F1)),
    "dimensions_0": ("GGUF_SHAPE", container([tensor("x", [])], [], PAD)),
    "dimensions_5": ("GGUF_SHAPE", container([tensor("x", [1] * 5)], [], F1)),
    "dimensions_huge": ("GGUF_SHAPE", container([tensor("x", [1], dimensions=2**32 - 1)], [], F1)),
    "extent_0": ("GGUF_SHAPE", container([tensor("x", [0])], [], F1)),
    "extent_negative": ("GGUF_SHAPE", container([tensor("x", [FULL])], [], F1)),
    "shape_wraps": ("GGUF_OVERFLOW", container([tensor("x", [2**32, 2**32, 2])], [], F1)),
    "bytes_wrap": ("GGUF_OVERFLOW", container([tensor("x", [2**62])], [], F1)),
    "blocks_huge": ("GGUF_TRUNCATED", container([tensor("x", [2**62], 8)], [], F1)),
    "rows_no_blocks": ("GGUF_SHAPE", container([tensor("x", [34], 8)], [], Q8 * 2)),
    "rows_no_large_blocks": ("GGUF_SHAPE", container([tensor("x", [32, 8], 12)], [], Q4K)),
    "type_q8_1": ("GGUF_TYPE", container([tensor("x", [32], 9)], [], bytes(40))),
    "type_iq4_xs": ("GGUF_TYPE", container([tensor("x", [256], 23)], [], bytes(136))),
    "type_tq1_0": ("GGUF_TYPE", container([tensor("x", [256], 34)], [], bytes(54))),
    "type_99": ("GGUF_TYPE", container([tensor("x", [32], 99)], [], bytes(40))),
    "offset_unaligned": ("GGUF_OFFSET", container([tensor("x", [1], offset=4)], [], F1 * 2)),
    "offset_negative": ("GGUF_OFFSET", container([tensor("x", [1], offset=2**64 - 32)], [], F1)),
    "offset_wraps": ("GGUF_OVERFLOW", container([tensor("x", [8], offset=2**63 - 32)], [], F1)),
    "offset_beyond": ("GGUF_TRUNCATED", container([tensor("x", [1], offset=32)], [], PAD)),
    "no_data": ("GGUF_TRUNCATED", container([X])),
    "header_without_padding": ("GGUF_TRUNCATED", container([X], alignment=1)),
    "data_cut": ("GGUF_TRUNCATED", container([tensor("x", [8])], [], F1 * 7)),
    "overlap": ("GGUF_OVERLAP", container([tensor("x", [16]), tensor("y", [1], offset=32)], [], F1 * 16)),
    "same_place": ("GGUF_OVERLAP", container([X, tensor("y", [1])], [], F1)),
    "orig_shape_u32": ("GGUF_ORIG_SHAPE", container([X], [shape_of("x", 1, kind=U32)], F1)),
    "orig_shape_scalar": ("GGUF_ORIG_SHAPE", container([X], [key("comfy.gguf.orig_shape.x", I32, struct.pack("<i", 1))], F1)),
    "orig_shape_empty": ("GGUF_ORIG_SHAPE", container([X], [shape_of("x")], F1)),
    "orig_shape_6": ("GGUF_ORIG_SHAPE", container([X], [shape_of("x", *[1] * 6)], F1)),
    "orig_shape_negative": ("GGUF_ORIG_SHAPE", container([tensor("x", [4])], [shape_of("x", -2, -2)], PAD)),
    "orig_shape_other": ("GGUF_ORIG_SHAPE", container([tensor("x", [4])], [shape_of("x", 2, 3)], PAD)),
    "orig_shape_wraps": ("GGUF_ORIG_SHAPE", container([tensor("x", [4])], [shape_of("x", 2**30, 2**30, 2**30)], PAD)),
    "nan": ("MODEL_NONFINITE", container([X], [], struct.pack("<f", float("nan")))),
    "scale_infinite": ("MODEL_NONFINITE", container([tensor("x", [32], 8)], [], b"\x00\x7c" + bytes(range(32)))),
    "scale_nan": ("MODEL_NONFINITE", container([tensor("x", [256], 12)], [], b"\x01\x7e" + Q4K[2:])),
    "integers": ("ST_DTYPE_UNSUPPORTED", container([tensor("x", [1], 26)], [], F1)),
}

if __name__ == "__main__":
    corpus.write(FOLDER, ".gguf", CASES)
