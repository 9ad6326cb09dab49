"""Writes assets/clip_merges.txt: the merges of CLIP's byte-level BPE, most frequent first.

    python3 tools/assets/make_clip_merges.py

The source is bpe_simple_vocab_16e6.txt.gz as the package open-clip-torch ships it (MIT). Of its 262 144 merges CLIP uses the first
48 894: 256 bytes, the same 256 at the end of a word, these, and two special tokens make 49 408.
"""
import gzip
import os
from importlib.metadata import distribution

COUNT = 49408 - 2 * 256 - 2
MERGES = os.path.join(os.path.dirname(__file__), "..", "..", "assets", "clip_merges.txt")


def main():
    source = distribution("open-clip-torch").locate_file("open_clip/bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(source.read_bytes()).decode().split("\n")
    merges = lines[1:1 + COUNT]  # the first line names the format
    assert all(len(merge.split(" ")) == 2 for merge in merges)
    assert len({merge.replace(" ", "") for merge in merges}) == COUNT  # each token is made in one way
    with open(MERGES, "w", encoding="utf-8") as file:
        file.write("\n".join(merges) + "\n")


if __name__ == "__main__":
    main()
