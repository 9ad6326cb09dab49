"""Goldens of scaling an initial picture, from PyTorch: tests/golden/resize/cases.json.

    python3 tools/goldens/make_resize_goldens.py
"""

import json
import pathlib

import torch

# width x height, its box of the wanted proportions (left, top, width, height), to width x height
CASES = [
    ((7, 5), (0, 0, 7, 5), (14, 10)),
    ((40, 40), (0, 0, 40, 40), (8, 8)),
    ((33, 17), (10, 0, 12, 17), (11, 16)),
    ((12, 30), (0, 13, 12, 4), (24, 8)),
]


def picture(width, height):
    i = torch.arange(width * height * 3)
    return ((i * 37 % 251) ^ (i // 7 % 5)).reshape(height, width, 3).permute(2, 0, 1).double()


def main():
    cases = []
    for (width, height), (left, top, w, h), (to_width, to_height) in CASES:
        box = picture(width, height)[None, :, top : top + h, left : left + w]
        scaled = torch.nn.functional.interpolate(
            box, (to_height, to_width), mode="bicubic", align_corners=False, antialias=True
        )
        pixels = [round(x, 4) for x in scaled.flatten().tolist()]
        cases.append(dict(width=width, height=height, to_width=to_width, to_height=to_height, pixels=pixels))
    path = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/resize/cases.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
