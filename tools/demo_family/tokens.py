"""CLIP's tokenizer without a download: its vocabulary follows from the merges in assets/clip_merges.txt."""
import json
import pathlib
import tempfile

from transformers import CLIPTokenizer

MERGES = pathlib.Path(__file__).parents[2] / "assets/clip_merges.txt"
LENGTH = 77


def vocabulary(merges):
    """The tokens in the order of their ids: bytes as printable characters, the same at the end of a word, merges, two
    special ones."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    merged = ["".join(merge.split()) for merge in merges]
    return [*characters, *(c + "</w>" for c in characters), *merged, "<|startoftext|>", "<|endoftext|>"]


def tokenizer():
    merges = MERGES.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary(merges))}))
        (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        return CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"))


def encode(tokenize, captions):
    """(N, LENGTH) ids, cut or padded with the end token as Stable Diffusion 1 does."""
    return tokenize(captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
