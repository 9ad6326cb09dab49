"""The emoji that Unicode's English annotations name, as Noto Color Emoji paints them; both from Debian's packages.

Pictures come from the font's only strike, 136 x 128 pixels; names and keywords from CLDR's annotations/en.xml.
"""
import dataclasses
import functools
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"  # of fonts-noto-color-emoji
ANNOTATIONS = "/usr/share/unicode/cldr/common/annotations/en.xml"  # of unicode-cldr-core
STRIKE, WIDTH, HEIGHT = 109, 136, 128  # size in points and pixels of the strike


@dataclasses.dataclass(frozen=True)
class Emoji:
    char: str
    name: str
    keywords: tuple[str, ...]  # the name's own words may be among them
    picture: Image.Image  # (HEIGHT, WIDTH) RGBA


def plain(text):
    """Typographic quotes as people type them."""
    return text.strip().translate(str.maketrans("’“”", "'\"\""))


def paint(font, char):
    picture = Image.new("RGBA", (WIDTH, HEIGHT))
    ImageDraw.Draw(picture).text((0, 0), char, font=font, embedded_color=True)
    return picture


@functools.cache
def load():
    """All emoji of one code point that have a name and a picture, by code point."""
    names, keywords = {}, {}
    for annotation in ElementTree.parse(ANNOTATIONS).iter("annotation"):
        char, text = annotation.get("cp"), plain(annotation.text)
        if annotation.get("type") == "tts":
            names[char] = text
        else:
            keywords[char] = tuple(map(str.strip, text.split("|")))
    font = ImageFont.truetype(FONT, STRIKE, layout_engine=ImageFont.Layout.BASIC)
    pictures = {char: paint(font, char) for char in sorted(names) if len(char) == 1}
    return [Emoji(char, names[char], keywords.get(char, ()), picture) for char, picture in pictures.items()
            if np.asarray(picture)[..., 3].any()]
