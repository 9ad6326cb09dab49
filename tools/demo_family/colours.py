"""The colours captions speak of: of backgrounds, and of emoji painted in another colour than their own."""
import re

import numpy as np
from PIL import Image

BACKGROUNDS = {"red": (214, 40, 40), "orange": (247, 140, 30), "yellow": (252, 214, 50), "green": (50, 160, 70),
               "light blue": (150, 205, 245), "blue": (40, 90, 210), "purple": (125, 60, 170), "pink": (250, 160, 195),
               "brown": (125, 80, 45), "grey": (135, 135, 135), "black": (15, 15, 15)}
HUES = {"red": 0, "orange": 28, "yellow": 52, "green": 120, "blue": 215, "purple": 275, "pink": 330}  # degrees
WORD = re.compile(r"\b(red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y)\b", re.IGNORECASE)
SATURATED = 80  # of 255: above it a pixel has a hue to speak of


def has_hue(picture):
    """Whether most of what is opaque has a hue that another can replace."""
    rgba = np.asarray(picture)
    hsv = np.asarray(picture.convert("RGB").convert("HSV"))
    opaque = rgba[..., 3] > 127
    return np.mean((hsv[..., 1] > SATURATED)[opaque]) > 0.5


def tinted(picture, colour):
    """The picture with one hue everywhere; greys, light and shade stay."""
    h, s, v = np.asarray(picture.convert("RGB").convert("HSV")).astype(np.float32).transpose(2, 0, 1)
    if colour == "pink":  # a light red
        s, v = np.where(s > SATURATED, 0.55 * s, s), np.where(s > SATURATED, 110 + 0.57 * v, v)
    hsv = np.stack([np.full_like(h, HUES[colour] * 255 / 360), s, v], axis=-1)
    result = Image.fromarray(hsv.round().astype(np.uint8), "HSV").convert("RGB")
    result.putalpha(picture.getchannel("A"))
    return result


def named(name, colour):
    """The name of an emoji of another colour: "red apple" or "apple" -> "blue apple"."""
    return WORD.sub(colour, name, count=1) if WORD.search(name) else f"{colour} {name}"


def on_background(text, colour):
    article = "an" if colour[0] in "aeiou" else "a"
    return f"{text} on {article} {colour} background"
