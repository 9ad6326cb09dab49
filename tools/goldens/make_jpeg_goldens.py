"""Writes tests/golden/jpeg: small JPEG files, and what Pillow, whose decoder is libjpeg-turbo too, makes of them.

    python3 tools/goldens/make_jpeg_goldens.py

pixels.json: of every file the rows of pixels; of "turned.jpg" for each Exif orientation 1 ... 8, which tests write into it.
"""
import io
import json
import pathlib

import numpy as np
from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/jpeg"


def picture(width, height):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 11 % 256, y * 19 % 256, (x + y) * 7 % 256], -1).astype(np.uint8))


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(picture(5, 3).convert("L"), exif=exif)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {"gray": encoded(picture(19, 12).convert("L")), "colours": encoded(picture(19, 12)),
             "progressive": encoded(picture(19, 12), progressive=True, subsampling=0), "turned": turned(6),
             "cmyk": encoded(picture(8, 8).convert("CMYK"))}
    pixels = {}
    for name, data in files.items():
        (FOLDER / f"{name}.jpg").write_bytes(data)
        if name in ("gray", "colours", "progressive"):
            pixels[name] = np.asarray(Image.open(io.BytesIO(data))).reshape(12, -1).tolist()
    for orientation in range(1, 9):
        pixels[f"turned_{orientation}"] = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(turned(orientation))))).tolist()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(rows, separators=(',', ':'))}" for name, rows in pixels.items())
    (FOLDER / "pixels.json").write_text("{" + lines + "}\n")


if __name__ == "__main__":
    main()
