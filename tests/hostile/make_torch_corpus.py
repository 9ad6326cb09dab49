#!/usr/bin/env python3
"""Writes tests/hostile/torch: broken PyTorch checkpoints and a few odd but legal ones, with the answer to each in manifest.txt.

Names begin with the row of the table of bad inputs that they stand for (Z: the zip archive, PK: the pickle, PT: the tensors, LG: old
formats, G: any file). Everything is written by hand, so that each file is wrong in one way. Files that a fuzzer or a user finds go to the
end of CASES.
"""
import pathlib
import struct
import zlib

import corpus

FOLDER = pathlib.Path(__file__).parent / "torch"

# --- zip ---


class Entry:
    """One stored file. What its two headers say can be set apart: central and local override the fields of both."""

    def __init__(self, name, content=b"", *, local=None, central=None, descriptor=None, gap=b"", shown_offset=None, **fields):
        name = name if isinstance(name, bytes) else name.encode()
        self.content, self.descriptor, self.gap, self.shown_offset = content, descriptor, gap, shown_offset
        both = dict(name=name, flags=0, method=0, crc=zlib.crc32(content), compressed=len(content), size=len(content), extra=b"", **{})
        both.update(fields)
        if descriptor is not None:
            both["flags"] |= 8
        zeros = dict(crc=0, compressed=0, size=0) if descriptor is not None else {}
        self.local = {**both, **zeros, **(local or {})}
        self.central = {**both, **(central or {})}

    def header(self):
        f = self.local
        fixed = struct.pack("<4sHHHHHIIIHH", f.get("signature", b"PK\3\4"), 20, f["flags"], f["method"], 0, 0, f["crc"], f["compressed"], f["size"], len(f["name"]), len(f["extra"]))
        return fixed + f["name"] + f["extra"]

    def directory(self, offset):
        f = self.central
        fixed = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, f["flags"], f["method"], 0, 0, f["crc"], f["compressed"], f["size"], len(f["name"]),
                            len(f["extra"]), 0, f.get("disk", 0), 0, 0, f.get("offset", offset))
        return fixed + f["name"] + f["extra"]


def archive(entries, *, prefix=b"", hidden=b"", end=None, zip64=None, comment=b"", comment_length=None, suffix=b""):
    data, directory = prefix, b""
    for entry in entries:
        offset = len(data) if entry.shown_offset is None else entry.shown_offset
        data += entry.header() + entry.content + (entry.descriptor or b"") + entry.gap
        directory += entry.directory(offset)
    data += hidden
    values = dict(disk=0, directory_disk=0, on_disk=len(entries), entries=len(entries), size=len(directory), offset=len(data))
    wide = {**values, **(zip64 or {})}
    values.update(end or {})
    result = data + directory
    if zip64 is not None:
        where = wide.get("locator", len(result))
        result += struct.pack("<4sQHHIIQQQQ", b"PK\6\6", wide.get("record", 44), 45, 45, wide["disk"], wide["directory_disk"], wide["on_disk"], wide["entries"], wide["size"], wide["offset"])
        result += struct.pack("<4sIQI", b"PK\6\7", 0, where, wide.get("disks", 1))
    result += struct.pack("<4sHHHHIIH", b"PK\5\6", values["disk"], values["directory_disk"], values["on_disk"], values["entries"], values["size"], values["offset"],
                          len(comment) if comment_length is None else comment_length)
    return result + comment + suffix


def descriptor(content, *, signature=b"PK\7\x08", wide=False, size=None):
    size = len(content) if size is None else size
    return signature + struct.pack("<IQQ" if wide else "<III", zlib.crc32(content), size, size)


# --- pickle ---

NONE, TRUE, FALSE, STOP, MARK, REDUCE, TUPLE, TUPLE1, TUPLE2 = b"N", b"\x88", b"\x89", b".", b"(", b"R", b"t", b"\x85", b"\x86"
EMPTY_TUPLE, EMPTY_DICT, EMPTY_LIST, SETITEM, SETITEMS, APPEND, BUILD = b")", b"}", b"]", b"s", b"u", b"a", b"b"


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def items(values):
    return MARK + b"".join(value if isinstance(value, bytes) else integer(value) for value in values) + TUPLE


def name(module, what):
    return b"c" + module.encode() + b"\n" + what.encode() + b"\n"


def call(function, *arguments):
    return name(*function.rsplit(".", 1)) + items(arguments) + REDUCE


ORDERED_DICT = call("collections.OrderedDict")


def storage(kind="torch.FloatStorage", key=text("0"), location=text("cpu"), count=6, tag=text("storage"), more=b""):
    kind = kind if isinstance(kind, bytes) else name(*kind.rsplit(".", 1))
    return items([tag, kind, key, location, count] + ([more] if more else [])) + b"Q"


def tensor(source=None, offset=0, shape=(2, 3), strides=(3, 1), function="torch._utils._rebuild_tensor_v2", more=(FALSE, ORDERED_DICT)):
    source = storage() if source is None else source
    shape, strides = (x if isinstance(x, bytes) else items(x) for x in (shape, strides))
    return call(function, source, offset, shape, strides, *more)


def dictionary(*pairs):
    return EMPTY_DICT + MARK + b"".join(text(key) + value if not isinstance(key, bytes) else key + value for key, value in pairs) + SETITEMS


def program(value, protocol=2):
    return b"\x80" + bytes([protocol]) + value + STOP


GOOD = program(dictionary(("w", tensor())))
FLOATS = struct.pack("<6f", *range(6))


def checkpoint(pickle=GOOD, *more, content=FLOATS, notes=True, **options):
    entries = [Entry("x/data.pkl", pickle)]
    if notes:
        entries += [Entry("x/byteorder", b"little"), Entry("x/version", b"3\n")]
    return archive(entries + [Entry("x/data/0", content), *more], **options)


def weights(value, *more, **options):
    """A checkpoint whose only entry is this object."""
    return checkpoint(program(dictionary(("w", value))), *more, **options)


def embedding(parameters, **options):
    """As the stable-diffusion-webui saves it."""
    return checkpoint(program(dictionary(("string_to_token", dictionary(("*", integer(265)))), ("string_to_param", parameters), ("name", text("fox")), ("step", integer(500)))), **options)


def parameters(items, *attributes):
    """A torch.nn.ParameterDict."""
    return name("torch.nn.modules.container", "ParameterDict") + EMPTY_TUPLE + b"\x81" + dictionary(("training", TRUE), *attributes, ("_parameters", items)) + BUILD


def run(code, *more):
    """A checkpoint that runs this before it makes a good one."""
    return checkpoint(program(code + b"0" + dictionary(("w", tensor()))), *more)


def with_entry(**options):
    """A good checkpoint, but for what is said about its storage."""
    return archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", FLOATS, **options)])


def with_name(entry_name):
    return checkpoint(GOOD, Entry(entry_name, b"?"))


def with_note(note, content):
    return archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", FLOATS), Entry("x/" + note, content)])


def zip64_extra(*values, identity=1, length=None):
    raw = b"".join(struct.pack("<Q", value) for value in values)
    return struct.pack("<HH", identity, len(raw) if length is None else length) + raw


def storage_offset():
    return checkpoint().index(b"PK\3\4", 1)


SATURATED = 0xFFFFFFFF
WIDE_LOCAL = dict(size=SATURATED, compressed=SATURATED, extra=zip64_extra(24, 24))
GOOD_BYTES = checkpoint()
DEEP = 1001
NUMBERS = dictionary(("epoch", integer(3)), ("name", text("x")))
SPARSE = call("torch._utils._rebuild_sparse_tensor", name("torch", "sparse_coo"), NONE)
OPAQUE = call("some.where.Thing", 1)
PARAMETER = "torch._utils._rebuild_parameter"
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."

CASES = {
    "good": ("accepted", GOOD_BYTES),
    "good_without_notes": ("accepted", checkpoint(notes=False)),
    "good_extra_field": ("accepted", with_entry(extra=b"FB\x03\x00ZZZ")),
    # G
    "G5_zeros": ("FMT_UNKNOWN", bytes(64)),
    "G6_html": ("FMT_UNKNOWN", b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n"),
    "G6_gguf": ("GGUF_TRUNCATED", b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0"),
    "G7_pickle": ("FMT_MISMATCH", b"\x80\x02}q\x00X\x01\x00\x00\x00xq\x01K\x01s."),
    # Z1: the end of the central directory
    "Z1_no_end": ("ZIP_EOCD", GOOD_BYTES[:-22]),
    "Z1_two_ends": ("ZIP_DIRECTORY", GOOD_BYTES + GOOD_BYTES[-22:]),
    "Z1_end_in_comment": ("ZIP_DIRECTORY", checkpoint(comment=GOOD_BYTES[-22:])),
    "Z1_comment": ("ZIP_TRAILING", checkpoint(comment=b"saved on a sunny day")),
    "Z1_comment_too_long": ("ZIP_EOCD", checkpoint(comment_length=7)),
    "Z1_prefix": ("ZIP_PREFIX", checkpoint(prefix=b"PK\3\4 not an entry")),
    "Z1_trailing": ("ZIP_TRAILING", checkpoint(suffix=b"\0")),
    "Z1_trailing_pdf": ("ZIP_TRAILING", checkpoint(suffix=b"%PDF-1.7\n" + bytes(100))),
    # Z2: the central directory
    "Z2_disk": ("ZIP_DIRECTORY", checkpoint(end=dict(disk=1))),
    "Z2_directory_disk": ("ZIP_DIRECTORY", checkpoint(end=dict(directory_disk=1))),
    "Z2_counts_differ": ("ZIP_DIRECTORY", checkpoint(end=dict(on_disk=3))),
    "Z2_too_many": ("ZIP_DIRECTORY", checkpoint(end=dict(on_disk=5, entries=5))),
    "Z2_too_few": ("ZIP_DIRECTORY", checkpoint(end=dict(on_disk=3, entries=3))),
    "Z2_none": ("ZIP_DIRECTORY", checkpoint(end=dict(on_disk=0, entries=0))),
    "Z2_offset_outside": ("ZIP_DIRECTORY", checkpoint(end=dict(offset=1 << 30))),
    "Z2_offset_into_data": ("ZIP_DIRECTORY", checkpoint(end=dict(offset=40))),
    "Z2_size_outside": ("ZIP_DIRECTORY", checkpoint(end=dict(size=1 << 30))),
    "Z2_hidden_before_directory": ("ZIP_HOLE", checkpoint(hidden=b"hidden")),
    "Z2_entry_disk": ("ZIP_DIRECTORY", with_entry(central=dict(disk=1))),
    "Z2_entry_in_directory": ("ZIP_DIRECTORY", with_entry(central=dict(offset=len(with_entry()) - 60))),
    "Z2_entry_outside": ("ZIP_DIRECTORY", with_entry(central=dict(offset=1 << 30))),
    # Z3: local headers against the central directory
    "Z3_signature": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(signature=b"PK\3\5"))),
    "Z3_name": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(name=b"x/data/1"))),
    "Z3_method": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(method=8))),
    "Z3_flags": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(flags=0x800))),
    "Z3_encrypted_inside": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(flags=1))),
    "Z3_size": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(size=20, compressed=20))),
    "Z3_size_both_less": ("ZIP_HOLE", with_entry(size=20, compressed=20)),
    "Z3_crc": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(crc=1))),
    "Z3_zero_size": ("ZIP_LOCAL_MISMATCH", with_entry(local=dict(size=0, compressed=0))),
    # Z4: checksums
    "Z4_pickle": ("ZIP_CRC", archive([Entry("x/data.pkl", GOOD, crc=1), Entry("x/data/0", FLOATS)])),
    "Z4_storage": ("ZIP_CRC", with_entry(crc=1)),
    "Z4_version": ("ZIP_CRC", archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", FLOATS), Entry("x/version", b"3\n", crc=1)])),
    # Z5: flags
    "Z5_encrypted": ("ZIP_ENCRYPTED", with_entry(flags=1)),
    "Z5_strong_encryption": ("ZIP_ENCRYPTED", with_entry(flags=0x41)),
    "Z5_masked": ("ZIP_ENCRYPTED", with_entry(flags=0x2000)),
    "Z5_patch": ("ZIP_FLAGS", with_entry(flags=0x20)),
    "Z5_reserved": ("ZIP_FLAGS", with_entry(flags=0x4000)),
    "Z5_good_utf8": ("accepted", with_entry(flags=0x800)),
    # Z6: compression
    **{f"Z6_method_{method}": ("ZIP_COMPRESSED", with_entry(method=method)) for method in (1, 8, 9, 12, 14, 93, 95, 99, 65535)},
    # Z7, Z8: sizes, overlap
    "Z7_sizes_differ": ("ZIP_SIZE", with_entry(size=1 << 20)),
    "Z8_same_entry_twice": ("ZIP_OVERLAP", archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", FLOATS), Entry("x/data/1", FLOATS, shown_offset=0)])),
    "Z8_longer_than_there_is": ("ZIP_OVERLAP", archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", FLOATS, size=500, compressed=500)])),
    "Z8_quoted": ("ZIP_OVERLAP", archive([Entry("x/data.pkl", GOOD, size=len(GOOD) + 40, compressed=len(GOOD) + 40), Entry("x/data/0", FLOATS)])),
    "Z8_name_into_next": ("ZIP_OVERLAP", archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", local=dict(extra=b"", name=b"x" * 500), content=b"")])[:30 + 10 + len(GOOD) + 30] + archive([Entry("x/data.pkl", GOOD), Entry("x/data/0", b"")])[30 + 10 + len(GOOD) + 30:]),
    # Z9: ZIP64
    "Z9_good_needless": ("accepted", checkpoint(zip64={})),
    "Z9_good_saturated": ("accepted", checkpoint(zip64={}, end=dict(on_disk=0xFFFF, entries=0xFFFF, size=SATURATED, offset=SATURATED))),
    "Z9_good_local": ("accepted", with_entry(local=WIDE_LOCAL)),
    "Z9_good_both": ("accepted", with_entry(local=WIDE_LOCAL, central=WIDE_LOCAL)),
    "Z9_good_needless_field": ("accepted", with_entry(extra=zip64_extra(24, 24))),
    "Z9_no_locator": ("ZIP_ZIP64", checkpoint(end=dict(offset=SATURATED))),
    "Z9_locator_wrong": ("ZIP_ZIP64", checkpoint(zip64=dict(locator=0))),
    "Z9_locator_wraps": ("ZIP_ZIP64", checkpoint(zip64=dict(locator=2**64 - 20))),
    "Z9_record_size": ("ZIP_ZIP64", checkpoint(zip64=dict(record=2**64 - 12))),
    "Z9_disks": ("ZIP_DIRECTORY", checkpoint(zip64=dict(disks=2))),
    "Z9_ends_differ": ("ZIP_ZIP64", checkpoint(zip64=dict(on_disk=3, entries=3))),
    "Z9_directory_wraps": ("ZIP_DIRECTORY", checkpoint(zip64=dict(offset=2**64 - 8, size=16), end=dict(offset=SATURATED, size=SATURATED))),
    "Z9_entries_2^63": ("RES_LIMIT", checkpoint(zip64=dict(on_disk=2**63, entries=2**63), end=dict(on_disk=0xFFFF, entries=0xFFFF))),
    "Z9_field_missing": ("ZIP_ZIP64", with_entry(size=SATURATED, compressed=SATURATED)),
    "Z9_field_short": ("ZIP_ZIP64", with_entry(size=SATURATED, compressed=SATURATED, extra=zip64_extra(24))),
    "Z9_field_cut_off": ("ZIP_ZIP64", with_entry(size=SATURATED, compressed=SATURATED, extra=zip64_extra(24, length=16))),
    "Z9_field_twice": ("ZIP_ZIP64", with_entry(size=SATURATED, compressed=SATURATED, extra=zip64_extra(24, 24) * 2)),
    "Z9_field_lies": ("ZIP_LOCAL_MISMATCH", with_entry(central=dict(size=SATURATED, compressed=SATURATED, extra=zip64_extra(2**63, 2**63)))),
    "Z9_offset_lies": ("ZIP_DIRECTORY", with_entry(central=dict(offset=SATURATED, extra=zip64_extra(2**64 - 1)))),
    "Z9_extra_of_two_bytes": ("ZIP_ZIP64", with_entry(extra=b"\0\0")),
    # Z10: data descriptors
    "Z10_good": ("accepted", with_entry(descriptor=descriptor(FLOATS))),
    "Z10_good_without_signature": ("accepted", with_entry(descriptor=descriptor(FLOATS, signature=b""))),
    "Z10_good_wide": ("accepted", with_entry(descriptor=descriptor(FLOATS, wide=True))),
    "Z10_good_wide_without_signature": ("accepted", with_entry(descriptor=descriptor(FLOATS, signature=b"", wide=True))),
    "Z10_missing": ("ZIP_SIZE", with_entry(descriptor=b"")),
    "Z10_size": ("ZIP_SIZE", with_entry(descriptor=descriptor(FLOATS, size=20))),
    "Z10_crc": ("ZIP_LOCAL_MISMATCH", with_entry(descriptor=descriptor(FLOATS[:20], size=24))),
    "Z10_signature": ("ZIP_SIZE", with_entry(descriptor=descriptor(FLOATS, signature=b"PK\7\7"))),
    "Z10_too_long": ("ZIP_HOLE", with_entry(descriptor=descriptor(FLOATS) + bytes(30))),
    # Z11: names
    "Z11_empty": ("ZIP_NAME", with_name("")),
    "Z11_absolute": ("ZIP_NAME", with_name("/etc/passwd")),
    "Z11_climbs": ("ZIP_NAME", with_name("x/../../etc/passwd")),
    "Z11_climbs_at_end": ("ZIP_NAME", with_name("x/..")),
    "Z11_backslash": ("ZIP_NAME", with_name("x\\data.pkl")),
    "Z11_nul": ("ZIP_NAME", with_name("x/data.pkl\0.txt")),
    "Z11_not_utf8": ("ZIP_NAME", with_name(b"x/\xff")),
    "Z11_long": ("ZIP_NAME", with_name("x/" + "a" * 1023)),
    "Z11_duplicate": ("ZIP_DUPLICATE", with_name("x/data/0")),
    "Z11_case": ("ZIP_DUPLICATE", with_name("x/DATA.pkl")),
    "Z11_good_dots": ("accepted", with_name("x/..a/b..")),
    # Z13: the layout
    "Z13_two_folders": ("PT_LAYOUT", checkpoint(GOOD, Entry("y/data.pkl", GOOD))),
    "Z13_outside": ("PT_LAYOUT", checkpoint(GOOD, Entry("readme.txt", b"?"))),
    "Z13_no_pickle": ("PT_LAYOUT", archive([Entry("x/version", b"3\n")])),
    "Z13_xdata": ("PT_LAYOUT", archive([Entry("x/xdata.pkl", GOOD), Entry("x/data/0", FLOATS)])),
    "Z13_at_root": ("PT_LAYOUT", archive([Entry("data.pkl", GOOD), Entry("data/0", FLOATS)])),
    "Z13_deeper": ("PT_LAYOUT", archive([Entry("x/y/data.pkl", GOOD), Entry("x/y/data/0", FLOATS)])),
    "Z13_npz": ("PT_LAYOUT", archive([Entry("arr_0.npy", b"\x93NUMPY")])),
    "Z13_empty": ("PT_LAYOUT", archive([])),
    # Z14 - Z16: notes
    **{f"Z14_version_{i}": ("PT_VERSION", with_note("version", content)) for i, content in enumerate([b"0\n", b"11\n", b"9" * 20, b"three", b"", b"-3", b"3\n\n", b" 3", b"3" * 1000])},
    "Z14_format_version": ("PT_VERSION", with_note(".format_version", b"one")),
    "Z14_alignment": ("PT_VERSION", with_note(".storage_alignment", b"99999999999")),
    "Z14_good_old": ("accepted", with_note("version", b"2\n")),
    "Z15_big_endian": ("PT_BYTEORDER", with_note("byteorder", b"big")),
    "Z16_middle": ("PT_BYTEORDER", with_note("byteorder", b"middle")),
    "Z16_empty": ("PT_BYTEORDER", with_note("byteorder", b"")),
    "Z16_newline": ("PT_BYTEORDER", with_note("byteorder", b"little\n")),
    # Z17: archives of programs
    "Z17_torchscript": ("PT_TORCHSCRIPT", checkpoint(GOOD, Entry("x/constants.pkl", b"\x80\x02)."), Entry("x/code/model.py", b""))),
    "Z17_package": ("PT_PACKAGE", archive([Entry("x/.data/extern_modules", b"torch\n"), Entry("x/.data/version", b"6\n")])),
    "Z17_export": ("PT_EXPORT", archive([Entry("x/archive_format", b"pt2"), Entry("x/models/model.json", b"{}")])),
    "Z17_export_old": ("PT_EXPORT", archive([Entry("serialized_exported_program.json", b"{}"), Entry("version", b"1")])),
    "Z17_mar": ("PT_MAR", archive([Entry("MAR-INF/MANIFEST.json", b"{}"), Entry("model.pt", b"")])),
    # PK1: names that attack
    **{
        f"PK1_{module}.{what}": ("PKL_DANGEROUS_GLOBAL", run(name(module, what) + items([text("id")]) + REDUCE))
        for module, what in [
            ("os", "system"), ("posix", "system"), ("nt", "system"), ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval"), ("__builtin__", "execfile"),
            ("builtins", "getattr"), ("builtins", "__import__"), ("subprocess", "Popen"), ("runpy", "_run_code"), ("importlib", "import_module"), ("socket", "create_connection"),
            ("shutil", "rmtree"), ("pty", "spawn"), ("ctypes", "CDLL"), ("operator", "attrgetter"), ("pickle", "loads"), ("marshal", "loads"), ("webbrowser", "open"),
            ("urllib.request", "urlopen"), ("requests.api", "get"), ("pip", "main"), ("pip._internal", "main"), ("torch.hub", "load"), ("torch.jit", "load"), ("sys", "exit"),
            ("x", "os.system"), ("torch.serialization", "os.system"), ("os.path", "join"), ("numpy.testing._private.utils", "runstring"), ("builtins", "str.format"), ("some", "Thing.__init__.__globals__"),
        ]
    },
    "PK1_stack_global": ("PKL_DANGEROUS_GLOBAL", run(b"\x8c\x05posix\x8c\x06system\x93")),
    "PK1_inst": ("PKL_DANGEROUS_GLOBAL", run(MARK + text("id") + b"ios\nsystem\n")),
    "PK1_popped": ("PKL_DANGEROUS_GLOBAL", run(name("os", "system"))),
    "PK1_after_stop": ("PKL_DANGEROUS_GLOBAL", checkpoint(GOOD + program(name("os", "system")))),
    "PK1_good_namesake": ("accepted", run(name("osmosis", "system") + b"0" + name("my.code", "Sys") + b"0" + name("builtins", "set"))),
    # PK2, PK3: unknown names
    "PK2_good_opaque": ("accepted", checkpoint(program(dictionary(("w", tensor()), ("args", name("argparse", "Namespace") + EMPTY_TUPLE + b"\x81" + dictionary(("a", integer(1))) + BUILD))))),
    "PK2_good_opaque_container": ("accepted", run(call("my.AttributeDict") + text("a") + integer(1) + SETITEM)),
    "PK2_good_called_result": ("accepted", run(OPAQUE + EMPTY_TUPLE + REDUCE)),
    "PK3_storage": ("PKL_UNSUPPORTED_GLOBAL", weights(tensor(OPAQUE))),
    "PK3_shape": ("PKL_UNSUPPORTED_GLOBAL", weights(tensor(shape=OPAQUE))),
    "PK3_offset": ("PKL_UNSUPPORTED_GLOBAL", weights(tensor(offset=OPAQUE))),
    "PK3_data": ("PKL_UNSUPPORTED_GLOBAL", weights(call(PARAMETER, OPAQUE, TRUE, ORDERED_DICT))),
    # PK4: calls
    "PK4_call_integer": ("PKL_TYPE", run(integer(1) + EMPTY_TUPLE + REDUCE)),
    "PK4_call_text": ("PKL_TYPE", run(text("os.system") + EMPTY_TUPLE + REDUCE)),
    "PK4_arguments_list": ("PKL_TYPE", run(name("a", "b") + EMPTY_LIST + REDUCE)),
    "PK4_newobj": ("PKL_TYPE", run(EMPTY_DICT + EMPTY_TUPLE + b"\x81")),
    "PK4_newobj_ex": ("PKL_TYPE", run(name("a", "b") + EMPTY_TUPLE + EMPTY_TUPLE + b"\x92")),
    "PK4_obj": ("PKL_TYPE", run(MARK + integer(1) + b"o")),
    "PK4_obj_nothing": ("PKL_STACK", run(MARK + b"o")),
    "PK4_build_list": ("PKL_TYPE", run(EMPTY_LIST + EMPTY_DICT + BUILD)),
    "PK4_build_text": ("PKL_TYPE", run(text("a") + EMPTY_DICT + BUILD)),
    "PK4_arity_less": ("PKL_TYPE", weights(tensor(more=()))),
    "PK4_arity_more": ("PKL_TYPE", weights(tensor(more=(FALSE, ORDERED_DICT, NONE, NONE)))),
    "PK4_arity_parameter": ("PKL_TYPE", weights(call(PARAMETER, tensor()))),
    # PK5: the stack
    **{f"PK5_underflow_{i}": ("PKL_STACK", checkpoint(program(code))) for i, code in enumerate([
        b"", b"0", b"2", b"R", b"b", b"s", b"a", b"\x81", b"\x92", b"\x93", b"\x85", b"\x86", b"\x87", b"Q", b"q\0", b"\x94", b"p0\n", integer(1) + b"\x86", integer(1) + SETITEM, b"(R", b"(2", b"(q\0", integer(1) + b"(a", integer(1) + b"(\x85"])},
    **{f"PK5_no_mark_{i}": ("PKL_STACK", checkpoint(program(EMPTY_LIST + code))) for i, code in enumerate([b"t", b"l", b"d", b"e", b"u", b"1", b"o", b"\x90", b"\x91", b"ia\nb\n"])},
    "PK5_stop_inside_mark": ("PKL_STACK", checkpoint(program(EMPTY_DICT + MARK))),
    "PK5_two_values": ("PKL_STACK", checkpoint(program(EMPTY_DICT + dictionary(("w", tensor()))))),
    "PK5_pop_mark_twice": ("PKL_STACK", run(EMPTY_LIST + b"(11")),
    # PK6: the memo
    "PK6_unset": ("PKL_MEMO", run(b"h\0")),
    "PK6_unset_long": ("PKL_MEMO", run(b"j" + struct.pack("<I", 2**32 - 1))),
    "PK6_put_2^32": ("PKL_MEMO", run(NONE + b"r" + struct.pack("<I", 2**32 - 1))),
    "PK6_negative": ("PKL_MEMO", run(NONE + b"p-1\n")),
    "PK6_text": ("PKL_MEMO", run(NONE + b"pone\n")),
    "PK6_huge": ("PKL_MEMO", run(NONE + b"p99999999999999999999\n")),
    "PK6_good_put_again": ("accepted", run(NONE + b"q\5" + integer(1) + b"q\5" + b"\x86h\5\x86")),
    "PK6_good_sparse": ("accepted", run(NONE + b"r" + struct.pack("<I", 1_000_000) + b"j" + struct.pack("<I", 1_000_000) + b"\x86")),
    # PK7, PK8: sharing and cycles
    "PK7_good_doubling": ("accepted", run(NONE + b"2\x86" * 64)),
    "PK8_good_list_in_itself": ("accepted", run(EMPTY_LIST + b"2a")),
    "PK8_good_dict_in_itself": ("accepted", checkpoint(program(dictionary(("w", tensor())) + b"q\1" + text("model") + b"h\1" + SETITEM))),
    "PK8_only_itself": ("PKL_NO_STATE_DICT", checkpoint(program(EMPTY_DICT + b"q\1" + text("model") + b"h\1" + SETITEM))),
    # PK9: depth
    "PK9_marks": ("PKL_DEPTH", run(MARK * DEEP)),
    "PK9_tuples": ("PKL_DEPTH", run(NONE + TUPLE1 * DEEP)),
    "PK9_lists": ("PKL_DEPTH", run(EMPTY_LIST * (DEEP + 1) + APPEND * DEEP)),
    # PK10: lengths
    **{f"PK10_length_{i}": ("PKL_TRUNCATED", checkpoint(program(code))) for i, code in enumerate([
        b"X\xff\xff\xff\xff", b"X\x05\0\0\0abc", b"\x8c\xff", b"\x8d" + struct.pack("<Q", 2**63), b"\x8d" + b"\xff" * 8, b"\x8e" + struct.pack("<Q", 2**63), b"\x96" + b"\xff" * 8,
        b"B\xff\xff\xff\x7f", b"C\x10", b"T\xff\xff\xff\xff", b"U\x50", b"\x8a\xff", b"\x8b\xff\xff\xff\xff", b"\x8b\x40\0\0\0", b"\x95" + struct.pack("<Q", 2**63), b"\x95" + bytes(8),
        b"\x95" + struct.pack("<Q", 10) + b"\x95" + struct.pack("<Q", 1) + NONE, b"J\1", b"G\1"])},
    # PK11: numbers
    "PK11_good_numbers": ("accepted", run(MARK + b"I99999999999999999999\nI01\nI00\nFnan\nF1e999\nL\nL12L\n" + b"\x8a\xff" + b"\1" * 255 + b"t")),
    "PK11_offset_long": ("PKL_INT_RANGE", weights(tensor(offset=b"\x8a\x09" + b"\0" * 8 + b"\1"))),
    "PK11_offset_text": ("PKL_INT_RANGE", weights(tensor(offset=b"I99999999999999999999\n"))),
    "PK11_offset_float": ("PKL_INT_RANGE", weights(tensor(offset=b"G" + bytes(8)))),
    "PK11_shape_float": ("PKL_INT_RANGE", weights(tensor(shape=items([2, b"G" + bytes(8)])))),
    "PK11_offset_boolean": ("PKL_TYPE", weights(tensor(offset=FALSE))),
    "PK11_good_offset_long": ("accepted", weights(tensor(offset=b"\x8a\x00"))),
    "PK11_good_text_integers": ("accepted", weights(tensor(offset=b"I0\n", shape=items([b"L2L\n", b"I3\n"])))),
    # PK12: containers
    "PK12_setitem_list": ("PKL_TYPE", run(EMPTY_LIST + text("a") + NONE + SETITEM)),
    "PK12_setitem_tuple": ("PKL_TYPE", run(EMPTY_TUPLE + text("a") + NONE + SETITEM)),
    "PK12_setitem_tensor": ("PKL_TYPE", weights(tensor() + integer(0) + integer(1) + SETITEM)),
    "PK12_setitems_tensor": ("PKL_TYPE", weights(tensor() + MARK + integer(0) + integer(1) + SETITEMS)),
    "PK12_setitem_storage": ("PKL_TYPE", weights(tensor(storage() + integer(0) + integer(1) + SETITEM))),
    "PK12_setitem_size": ("PKL_TYPE", run(call("torch.Size", items([1])) + integer(0) + integer(1) + SETITEM)),
    "PK12_odd": ("PKL_TYPE", run(EMPTY_DICT + MARK + text("a") + SETITEMS)),
    "PK12_odd_dict": ("PKL_TYPE", run(MARK + text("a") + b"d")),
    "PK12_key_list": ("PKL_TYPE", run(EMPTY_DICT + EMPTY_LIST + NONE + SETITEM)),
    "PK12_key_dict": ("PKL_TYPE", run(EMPTY_DICT + EMPTY_DICT + NONE + SETITEM)),
    "PK12_set_of_lists": ("PKL_TYPE", run(b"\x8f(]\x90")),
    "PK12_append_dict": ("PKL_TYPE", run(EMPTY_DICT + NONE + APPEND)),
    "PK12_appends_ordered_dict": ("PKL_TYPE", run(ORDERED_DICT + MARK + NONE + b"e")),
    "PK12_additems_list": ("PKL_TYPE", run(EMPTY_LIST + MARK + NONE + b"\x90")),
    "PK12_both_kinds": ("PKL_TYPE", run(call("my.Thing") + NONE + APPEND + text("a") + NONE + SETITEM)),
    # PK13: protocols
    "PK13_protocol_6": ("PKL_PROTOCOL", checkpoint(program(dictionary(("w", tensor())), 6))),
    "PK13_protocol_255": ("PKL_PROTOCOL", checkpoint(program(dictionary(("w", tensor())), 255))),
    "PK13_in_the_middle": ("PKL_PROTOCOL", run(NONE + b"\x80\x02")),
    "PK13_good_without": ("accepted", checkpoint(GOOD[2:])),
    "PK13_good_0": ("accepted", checkpoint(program(dictionary(("w", tensor())), 0))),
    "PK13_good_5": ("accepted", checkpoint(program(dictionary(("w", tensor())), 5))),
    # PK14: instructions
    **{f"PK14_{code[0]:02x}": ("PKL_OPCODE", run(NONE + code)) for code in [b"\x82\1", b"\x83\1\1", b"\x84\1\1\1\1", b"\x97", b"\x98", b"P0\n", b"\xff", b"\0", b"z"]},
    # PK15: storages
    "PK15_not_tuple": ("PKL_PERSID", weights(tensor(text("0") + b"Q"))),
    "PK15_list": ("PKL_PERSID", weights(tensor(EMPTY_LIST + b"Q"))),
    "PK15_four": ("PKL_PERSID", weights(tensor(items([text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu")]) + b"Q"))),
    "PK15_six": ("PKL_PERSID", weights(tensor(storage(more=NONE)))),
    "PK15_tag": ("PKL_PERSID", weights(tensor(storage(tag=text("module"))))),
    "PK15_class": ("PKL_PERSID", weights(tensor(storage("torch.Storage")))),
    "PK15_class_elsewhere": ("PKL_PERSID", weights(tensor(storage("my.FloatStorage")))),
    "PK15_class_text": ("PKL_PERSID", weights(tensor(storage(text("FloatStorage"))))),
    "PK15_key": ("PKL_PERSID", weights(tensor(storage(key=NONE)))),
    "PK15_location": ("PKL_PERSID", weights(tensor(storage(location=NONE)))),
    "PK15_meta": ("PKL_PERSID", weights(tensor(storage(location=text("meta"))))),
    "PK15_count": ("PKL_PERSID", weights(tensor(storage(count=text("6"))))),
    "PK15_good_integer_key": ("accepted", weights(tensor(storage(key=integer(0))))),
    "PK15_good_cuda": ("accepted", weights(tensor(storage(location=text("cuda:3"))))),
    # PK16: the end
    "PK16_no_stop": ("PKL_TRUNCATED", checkpoint(GOOD[:-1])),
    "PK16_empty": ("PKL_TRUNCATED", checkpoint(b"")),
    "PK16_after_stop": ("PKL_TRAILING", checkpoint(GOOD + GOOD)),
    "PK16_bytes_after_stop": ("PKL_OPCODE", checkpoint(GOOD + b"\0")),
    # PK17: names
    "PK17_no_line_feed": ("PKL_GLOBAL", checkpoint(program(b"ctorch"))),
    "PK17_one_line_feed": ("PKL_GLOBAL", checkpoint(program(b"ctorch\nTensor"))),
    "PK17_empty": ("PKL_GLOBAL", run(b"c\n\n")),
    "PK17_long": ("PKL_GLOBAL", run(b"c" + b"a" * 1025 + b"\nb\n")),
    "PK17_not_utf8": ("PKL_GLOBAL", run(b"c\xff\nb\n")),
    "PK17_stack_global_integers": ("PKL_GLOBAL", run(integer(1) + integer(2) + b"\x93")),
    # PK18: finding the weights
    "PK18_list": ("PKL_NO_STATE_DICT", checkpoint(program(EMPTY_LIST + tensor() + APPEND))),
    "PK18_tensor": ("PKL_NO_STATE_DICT", checkpoint(program(tensor()))),
    "PK18_number": ("PKL_NO_STATE_DICT", checkpoint(program(integer(1)))),
    "PK18_module": ("PKL_NO_STATE_DICT", checkpoint(program(name("my.nets", "DiT") + EMPTY_TUPLE + b"\x81" + dictionary(("_parameters", dictionary(("w", tensor())))) + BUILD))),
    "PK18_no_tensors": ("PKL_NO_STATE_DICT", checkpoint(program(dictionary(("model", NUMBERS), ("epoch", integer(1)))))),
    "PK18_empty": ("PKL_NO_STATE_DICT", checkpoint(program(EMPTY_DICT))),
    "PK18_too_deep": ("PKL_NO_STATE_DICT", checkpoint(program(dictionary(("model", dictionary(("model", dictionary(("model", dictionary(("model", dictionary(("model", dictionary(("w", tensor()))))))))))))))),
    "PK18_good_ema": ("accepted", checkpoint(program(dictionary(("model", NUMBERS), ("ema", dictionary(("w", tensor()))))))),
    "PK18_good_four_deep": ("accepted", checkpoint(program(dictionary(("state_dict", dictionary(("model", dictionary(("module", dictionary(("params", dictionary(("w", tensor()))))))))))))),
    "PK18_good_ordered_dict": ("accepted", checkpoint(program(ORDERED_DICT + text("w") + tensor() + SETITEM))),
    # PK19, PK20: names of tensors
    "PK19_twice": ("MODEL_DUPLICATE", checkpoint(program(dictionary(("w", tensor()), ("w", tensor()))))),
    "PK19_after_prefix": ("MODEL_DUPLICATE", checkpoint(program(dictionary(("w", tensor()), ("module.w", tensor()))))),
    "PK20_good_odd_keys": ("accepted", checkpoint(program(dictionary(("w", tensor()), (integer(1), tensor()), (NONE, tensor()), (b"C\1w", tensor()), ("step", integer(1)), ("none", NONE))))),
    # PT1, PT2: storages
    "PT1_missing": ("PT_STORAGE", weights(tensor(storage(key=text("1"))))),
    "PT1_climbs": ("PT_STORAGE", weights(tensor(storage(key=text("../data.pkl"))))),
    "PT1_absolute": ("PT_STORAGE", weights(tensor(storage(key=text("/etc/passwd"))))),
    "PT1_nul": ("PT_STORAGE", weights(tensor(storage(key=text("0\0"))))),
    "PT1_empty": ("PT_STORAGE", weights(tensor(storage(key=text(""))))),
    "PT1_long": ("PT_STORAGE", weights(tensor(storage(key=text("0" * 5000))))),
    "PT2_smaller": ("PT_STORAGE_SIZE", weights(tensor(storage(count=5)))),
    "PT2_larger": ("PT_STORAGE_SIZE", weights(tensor(storage(count=7)))),
    "PT2_negative": ("PT_STORAGE_SIZE", weights(tensor(storage(count=-6)))),
    "PT2_wraps": ("PT_STORAGE_SIZE", weights(tensor(storage(count=0x4000000000000006)))),
    "PT2_type": ("PT_STORAGE_SIZE", weights(tensor(storage("torch.DoubleStorage")))),
    "PT2_unused": ("PT_STORAGE_SIZE", checkpoint(program(dictionary(("w", tensor()), ("opt", storage(key=text("1"), count=9)))), Entry("x/data/1", b"1234"))),
    # PT3: views
    "PT3_one_too_far": ("PT_VIEW_RANGE", weights(tensor(offset=1))),
    "PT3_stride": ("PT_VIEW_RANGE", weights(tensor(strides=(4, 1)))),
    "PT3_shape": ("PT_VIEW_RANGE", weights(tensor(shape=(2, 4), strides=(4, 1)))),
    "PT3_negative": ("PT_VIEW_RANGE", weights(tensor(offset=-1))),
    "PT3_offset_2^63": ("PT_VIEW_RANGE", weights(tensor(offset=2**63 - 1))),
    "PT3_wraps": ("PT_VIEW_RANGE", weights(tensor(shape=(3, 3), strides=(2**62, 2**62)))),
    "PT3_wraps_sum": ("PT_VIEW_RANGE", weights(tensor(offset=2**62, shape=(2, 2), strides=(2**62, 2**62)))),
    "PT3_empty_before": ("PT_VIEW_RANGE", weights(tensor(offset=-1, shape=(0,), strides=(1,)))),
    # PT4: shapes
    "PT4_negative_stride": ("PT_SHAPE", weights(tensor(offset=5, shape=(2,), strides=(-1,)))),
    "PT4_counts_differ": ("PT_SHAPE", weights(tensor(strides=(1,)))),
    "PT4_nine": ("PT_SHAPE", weights(tensor(shape=(1,) * 9, strides=(1,) * 9))),
    "PT4_negative": ("PT_SHAPE", weights(tensor(shape=(-2, 3)))),
    "PT4_wraps": ("PT_SHAPE", weights(tensor(shape=(2**32, 2**32), strides=(0, 0)))),
    "PT4_wraps_bytes": ("PT_SHAPE", weights(tensor(shape=(2**62,), strides=(0,)))),
    "PT4_wraps_but_zero": ("PT_SHAPE", weights(tensor(shape=(2**62, 2**62, 0), strides=(0, 0, 0)))),
    "PT4_list": ("PKL_TYPE", weights(tensor(shape=EMPTY_LIST))),
    "PT4_good_size": ("accepted", weights(tensor(shape=call("torch.Size", items([2, 3]))))),
    # PT5 - PT7: expanded, permuted, empty
    "PT5_expanded": ("RES_LIMIT", weights(tensor(shape=(10**9, 10**9), strides=(0, 0), source=storage()))),
    "PT5_expanded_a_little_too_far": ("RES_LIMIT", weights(tensor(shape=(2**18 + 1,), strides=(0,)))),
    "PT5_good_expanded": ("accepted", weights(tensor(shape=(2**18,), strides=(0,)))),
    "PT6_good_permuted": ("accepted", weights(tensor(shape=(3, 2), strides=(1, 3)))),
    "PT6_good_overlapping": ("accepted", weights(tensor(shape=(3, 3), strides=(1, 1), offset=1))),
    "PT6_good_tied": ("accepted", checkpoint(program(dictionary(("v", tensor()), ("w", tensor()))))),
    "PT7_good_empty": ("accepted", weights(tensor(storage(count=0), shape=(0,), strides=(1,)), content=b"")),
    "PT7_good_scalar": ("accepted", weights(tensor(offset=5, shape=(), strides=()))),
    "PT7_good_empty_behind_end": ("accepted", weights(tensor(offset=7, shape=(0,), strides=(1,)))),
    "PT7_good_empty_at_end": ("accepted", weights(tensor(offset=6, shape=(2, 0), strides=(1, 1)))),
    # PT8: types
    "PT8_complex": ("PT_DTYPE", weights(tensor(storage("torch.ComplexFloatStorage", count=3), shape=(3,), strides=(1,)))),
    "PT8_bool": ("PT_DTYPE", weights(tensor(storage("torch.BoolStorage", count=24)))),
    "PT8_long": ("PT_DTYPE", weights(tensor(storage("torch.LongStorage", count=3), shape=(3,), strides=(1,)))),
    "PT8_quantized": ("PT_DTYPE", weights(tensor(storage("torch.QInt8Storage", count=24)))),
    "PT8_unknown_dtype": ("PT_DTYPE", weights(tensor(storage("torch.storage.UntypedStorage", count=24), function="torch._utils._rebuild_tensor_v3", more=(FALSE, ORDERED_DICT, name("torch", "float6"))))),
    "PT8_sparse": ("PT_UNSUPPORTED_TENSOR", weights(SPARSE)),
    "PT8_subclass": ("PT_UNSUPPORTED_TENSOR", weights(call("torch._tensor._rebuild_from_type_v2", name("torch._utils", "_rebuild_tensor_v2"), name("my", "Tensor"), items([1]), NONE))),
    "PT8_negated": ("PT_UNSUPPORTED_TENSOR", weights(tensor(more=(FALSE, ORDERED_DICT, dictionary(("neg", TRUE)))))),
    "PT8_wrapped_often": ("PT_UNSUPPORTED_TENSOR", weights(call(PARAMETER, call(PARAMETER, call(PARAMETER, call(PARAMETER, call(PARAMETER, tensor(), TRUE, NONE), TRUE, NONE), TRUE, NONE), TRUE, NONE), TRUE, NONE))),
    # PT9: storages of two types
    "PT9_two_types": ("PT_STORAGE_TYPE", checkpoint(program(dictionary(("v", tensor(storage("torch.IntStorage"))), ("w", tensor()))))),
    "PT9_two_sizes": ("PT_STORAGE_TYPE", checkpoint(program(dictionary(("w", tensor()), ("v", storage(count=5)))))),
    "PT9_good_untyped": ("accepted", weights(tensor(storage("torch.storage.UntypedStorage", count=24), function="torch._utils._rebuild_tensor_v3", more=(FALSE, ORDERED_DICT, name("torch", "float32"))))),
    "PT10_nan": ("MODEL_NONFINITE", checkpoint(content=struct.pack("<6f", 1, 2, float("nan"), 4, 5, float("inf")))),
    # LG: old formats
    "LG1_legacy": ("PT_LEGACY", LEGACY),
    "LG1_legacy_protocol_4": ("PT_LEGACY", b"\x80\x04\x95\x0d" + bytes(7) + LEGACY[2:]),
    "LG6_legacy_cut": ("PT_LEGACY", LEGACY[:15]),
    "LG6_legacy_number_cut": ("FMT_MISMATCH", LEGACY[:12]),
    "LG5_tar": ("PT_LEGACY_TAR", b"sys_info" + bytes(249) + b"ustar\x0000" + bytes(300)),
    # EM: textual inversion
    "EM1_good_webui": ("accepted", embedding(dictionary(("*", call(PARAMETER, tensor(), TRUE, ORDERED_DICT))))),
    "EM1_good_parameters": ("accepted", embedding(parameters(dictionary(("*", tensor()))))),
    "EM1_good_ordered_parameters": ("accepted", embedding(parameters(ORDERED_DICT + text("*") + tensor() + SETITEM))),
    "EM2_code": ("PKL_DANGEROUS_GLOBAL", embedding(dictionary(("*", call("os.system", text("id")))))),
    "EM2_code_among_attributes": ("PKL_DANGEROUS_GLOBAL", embedding(parameters(dictionary(("*", tensor())), ("hook", call("builtins.eval", text("1")))))),
    "EM3_text": ("PKL_NO_STATE_DICT", embedding(text("*"))),
    "EM3_parameters_text": ("PKL_NO_STATE_DICT", embedding(parameters(text("*")))),
    "EM3_itself": ("PKL_NO_STATE_DICT", checkpoint(program(EMPTY_DICT + b"q\0" + text("string_to_param") + b"h\0" + SETITEM))),
    "EM3_late": ("PKL_NO_STATE_DICT", embedding(parameters(dictionary(("*", tensor())), *[(f"a{i}", NONE) for i in range(64)]))),
    "EM4_repeated": ("RES_LIMIT", embedding(dictionary(("*", tensor(shape=(2**20, 2**20), strides=(0, 0)))))),
    "EM4_elsewhere": ("PT_VIEW_RANGE", embedding(dictionary(("*", tensor(offset=2**40))))),
    "EM5_nan": ("MODEL_NONFINITE", embedding(dictionary(("*", tensor())), content=struct.pack("<6f", 1, 2, float("nan"), 4, 5, 6))),
    "LG5_other_tar": ("FMT_UNKNOWN", b"model.pt" + bytes(249) + b"ustar\x0000" + bytes(300)),
}

if __name__ == "__main__":
    corpus.write(FOLDER, ".pt", CASES)
