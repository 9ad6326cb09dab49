"""Pictures of emoji and captions that are true of them; the training set of the words family.

    python3 tools/demo_family/data.py --out ~/words     # held_out.json and views.png, to look at

A View says what is to be seen: an emoji or two side by side, size, place, mirrored or not, its own colours or a tint,
white or a coloured background. A caption names the tint and the background and leaves size and place open. Held out of
the training are whole emoji and, for the emoji that are known, some colours of theirs; both are chosen by hashes, so
that they never change.
"""
import argparse
import dataclasses
import functools
import hashlib
import json
import os
import re

import numpy as np
from PIL import Image

import colours
import emoji

SIDE = 128  # pixels of a training picture
CELL = 8  # pixels of a latent
# Mirrored, these would be wrong: writing, signs with a direction, what has a left and a right.
ONE_WAY = re.compile(r"""
    left|right|arrow|clock|thirty|pointing|curving|moon|crescent|globe|map|flag|compass|
    button|sign|symbol|mark|input|letter|number|asterisk|hash|circled|information|copyright|registered|badge|
    dollar|yen|euro|pound|banknote|money|currency|receipt|chart|calendar|abacus|musical|hundred|ZZZ|OK|NO\b|
    book|ledger|memo|page|scroll|clipboard|newspaper|notepad|card|ticket|label|e-mail|headstone|placard|
    medal|mahjong|joker|die\b|pool|slot|dvd|disk|cassette|keyboard|laptop|computer|printer|phone|pager|fax|radio|
    watch|timer|battery|slider|ambulance|police|taxi|bus\b|minibus|station|hospital|hotel|store|school|bank|office|
    closet|cinema|\bom\b|loop|infinity|eighteen|stop|Japanese|Tokyo|speech|anger|mailbox|postbox|television|
    Aries|Taurus|Gemini|Cancer|Leo\b|Virgo|Libra|Scorpio|Sagittarius|Capricorn|Aquarius|Pisces|Ophiuchus
    """, re.VERBOSE | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class View:
    emoji: int  # index into emoji.load()
    other: int | None  # a second one on the right
    tint: str | None
    background: str | None  # None: white
    mirror: bool
    boxes: tuple[tuple[int, int, int], ...]  # left, top, width of each emoji in pixels
    jitter: tuple[int, int, int]  # added to the background's colour


def chosen(text, one_in):
    """True for one text in so many, always the same ones."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % one_in == 0


@functools.cache
def is_held_out_emoji(index):
    """Of names of three words and more, which words of other names explain: what has no other name must be shown."""
    subject = emoji.load()[index]
    return len(subject.name.split()) >= 3 and chosen(f"emoji {subject.char}", 12)


def is_held_out_caption(view):
    """Whether a known emoji wears or stands before a colour that training never shows with it."""
    char = emoji.load()[view.emoji].char
    return any(colour and chosen(f"{kind} {colour} {char}", 10)
               for kind, colour in (("tint", view.tint), ("background", view.background)))


def split_of(view):
    if is_held_out_emoji(view.emoji) or view.other is not None and is_held_out_emoji(view.other):
        return "emoji"
    return "captions" if is_held_out_caption(view) else "known"


@functools.cache
def has_hue(index):
    return bool(colours.has_hue(emoji.load()[index].picture))


def draw_box(rng, left, width, smallest):
    """Where an emoji stands in a column of the picture: `smallest` pixels wide or a cell or more wider, in the middle or, if
    there is room, a cell beside it. So a cell of latents shows the same part of an emoji in the same few ways."""
    w = int(rng.choice(range(smallest, width + 1, CELL)))
    return left + shifted(rng, width - w), shifted(rng, SIDE - height_of(w)), w


def shifted(rng, room):
    """Pixels before what leaves `room` pixels on both sides together."""
    place = room // 2 + CELL * int(rng.choice([-1, 0, 1], p=[0.125, 0.75, 0.125]))
    return place if 0 <= place <= room else room // 2


def height_of(width):
    return round(width * emoji.HEIGHT / emoji.WIDTH)


def draw_any_view(rng):
    """Most views show one emoji as it is; enough do not, for colours and "and" to be learnt."""
    index, kind = int(rng.integers(len(emoji.load()))), rng.random()
    other = int(rng.integers(len(emoji.load()))) if kind < 0.08 else None
    tint = str(rng.choice(list(colours.HUES))) if 0.08 <= kind < 0.25 and has_hue(index) else None
    background = str(rng.choice(list(colours.BACKGROUNDS))) if rng.random() < 0.25 else None
    mirror = rng.random() < 0.3 and other is None and not ONE_WAY.search(emoji.load()[index].name)
    half = SIDE // 2
    boxes = ((draw_box(rng, 0, SIDE, 112),) if other is None
             else (draw_box(rng, 0, half, 56), draw_box(rng, half, half, 56)))
    return View(index, other, tint, background, bool(mirror), boxes, tuple(map(int, rng.integers(-12, 13, 3))))


def draw_view(rng, split="known"):
    """A random view of a split: "known" for training, "captions" and "emoji" held out of it."""
    while True:
        view = draw_any_view(rng)
        if split_of(view) == split:
            return view


def render(view):
    """(SIDE, SIDE, 3) uint8."""
    ground = (255, 255, 255)
    if view.background:
        ground = tuple(np.clip(np.add(colours.BACKGROUNDS[view.background], view.jitter), 0, 255).tolist())
    canvas = Image.new("RGB", (SIDE, SIDE), ground)
    for index, (left, top, width) in zip((view.emoji, view.other), view.boxes):
        picture = emoji.load()[index].picture
        if view.tint:
            picture = colours.tinted(picture, view.tint)
        if view.mirror:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture = picture.resize((width, height_of(width)), Image.Resampling.LANCZOS)
        canvas.paste(picture, (left, top), picture)
    return np.asarray(canvas)


def caption(view, rng):
    """One of the many captions of a view: its name, its name and keywords, or keywords; then the background."""
    subject = emoji.load()[view.emoji]
    if view.tint:
        text = colours.named(subject.name, view.tint)
    elif view.other is not None:
        names = [subject.name, emoji.load()[view.other].name]
        text = " and ".join(names if rng.random() < 0.5 else names[::-1])
    else:
        text = describe(subject, rng)
    return colours.on_background(text, view.background) if view.background else text


def describe(subject, rng):
    keywords = [keyword for keyword in subject.keywords if keyword != subject.name]
    style = rng.random()
    if style < 0.55 or not keywords:
        return subject.name
    some = [str(k) for k in rng.permutation(keywords)[:rng.integers(1, 5)]]
    return ", ".join([subject.name, *some] if style < 0.8 else some)


def held_out():
    """What training never shows, by name."""
    captions, everything = [], emoji.load()
    for i, subject in enumerate(everything):
        plain = View(i, None, None, None, False, (), (0, 0, 0))
        names = {dataclasses.replace(plain, background=colour): colours.on_background(subject.name, colour)
                 for colour in colours.BACKGROUNDS}
        if has_hue(i):
            names |= {dataclasses.replace(plain, tint=colour): colours.named(subject.name, colour)
                      for colour in colours.HUES}
        captions += [name for view, name in names.items() if split_of(view) == "captions"]
    return {"emoji": [e.name for i, e in enumerate(everything) if is_held_out_emoji(i)], "captions": captions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder")
    args = parser.parse_args()
    folder = os.path.expanduser(args.out)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "held_out.json"), "w", encoding="utf-8") as file:
        json.dump(held_out(), file, indent=1, ensure_ascii=False)
    rng = np.random.default_rng(0)
    views = [draw_view(rng) for _ in range(96)]
    rows = [np.concatenate([render(view) for view in views[i:i + 12]], axis=1) for i in range(0, len(views), 12)]
    Image.fromarray(np.concatenate(rows)).save(os.path.join(folder, "views.png"))
    print(f"{len(emoji.load())} emoji, {sum(map(has_hue, range(len(emoji.load()))))} of them take a tint")
    for i, view in enumerate(views):
        print(f"{i // 12 + 1}, {i % 12 + 1}: {caption(view, rng)}")


if __name__ == "__main__":
    main()
