"""Writes tests/golden/tokenizer: what transformers' CLIPTokenizer makes of prompts.

    python3 tools/goldens/make_tokenizer_goldens.py                     after tools/assets/make_clip_merges.py
    python3 tools/goldens/make_tokenizer_goldens.py --random 100000 FILE     other strings, of all of Unicode
    TSTITCH_TOKENIZER_CASES=FILE text_test --gtest_filter='*Transformers*'

clip.json      [prompt, its ids without begin and end] for each
padded.json    [prompt, its 77 ids as Stable Diffusion asks for them: padding="max_length", truncation=True]
"""
import argparse
import json
import os
import random
import unicodedata

from transformers import CLIPTokenizer

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
FOLDER = os.path.join(ROOT, "tests", "golden", "tokenizer")

WORDS = """a an the of in on with by portrait photo painting landscape castle mountain dragon cat dog astronaut horse ocean sunset city street
cyberpunk steampunk watercolor oil canvas highly detailed intricate sharp focus studio lighting bokeh 8k uhd hdr f/1.8 35mm masterpiece best
quality trending artstation octane render unreal engine concept art smooth illustration by greg rutkowski alphonse mucha volumetric lights
golden hour misty forest ancient ruins neon rain reflections wide angle macro close-up ultra-realistic photorealistic cinematic dramatic
don't it's we're they've I'm you'll he'd CAN'T Rock'n'Roll jack-o'-lantern 1920s 3.14 100% #hashtag @name https://example.org/x?y=1&z=2 $5 c++
supercalifragilisticexpialidocious antidisestablishmentarianism e=mc^2 <tag> [x] (y) {z} a_b_c --ar 16:9 ::2 ... !!! ?! -- *bold* ~ ` | \\""".split()

BY_HAND = [
    "", " ", "  \t\n ", "a", "A", "a photo of a cat", "A PHOTO OF A CAT", " leading", "trailing ", "two  spaces", "tab\tnew\nline\r\nend",
    "it's don't we're they've I'm you'll he'd", "IT'S DON'T WE'RE THEY'VE I'M YOU'LL HE'D", "'s", "''s", "'S's", "'ſ", "'tis", "'re're", "!'s", "'",
    "''", "o'clock 'llama 'dog 'very 'm'm", "it’s don’t", "`s", "0", "007", "3.14159", "1,000,000", "１２３ full width", "²³¹ ½ ⅷ Ⅷ", "٠١٢٣ ०१२३",
    "a1b2c3", "x²y", "word-word_word", "C++ C# F#", "...", "…", "!?!?!?", "a.b,c;d:e", "“quoted” ‘quoted’ «quoted»", "$100 €5 £3 ¥7 ₹9", "50% ±2 ×3 ÷4",
    "<|startoftext|>", "<|endoftext|>", "a <|endoftext|> b", "<|endoftext|>!", "<|ENDOFTEXT|>!", "<|EndOfText|><|StartOfText|>", "<<|endoftext|>",
    "<|endoftext|", "<|endoftext|><|startoftext|><|endoftext|>", "x<|startoftext|>y", "|>", "<|", "<||>", "<|<|endoftext|>|>", "e\u0301<|endoftext|>\u0301",
    "\x00", "a\x00b", "\x01\x02\x03", "bell\x07 esc\x1b[31m del\x7f", "\x80\x85\x9f", "a\x1cb\x1db\x1eb\x1fb", "a\x0bb\x0cb", "zero\u200bwidth\u200djoin\u200cer",
    "no\u00a0break", "ogham\u1680space", "en\u2002em\u2003thin\u2009hair\u200a", "line\u2028paragraph\u2029", "narrow\u202fmath\u205fideographic\u3000",
    "\ufeffbom", "mongolian\u180evowel", "soft\u00adhyphen", "left\u200eright\u200f\u202aembed\u202c", "object\ufffcreplacement\ufffd", "\ue000private\uf8ff",
    "\ufdd0\uffff\U0001ffff\U0010ffff", "café", "cafe\u0301", "é", "e\u0301", "Å Å A\u030a", "naïve coöperate façade", "ñ n\u0303 Ñ N\u0303",
    "q\u0307\u0323", "q\u0323\u0307", "ṩ s\u0323\u0307 s\u0307\u0323", "a\u0301\u0301\u0301", "\u0301", " \u0301x", "Việt Nam Tiếng Việt", "Tie\u0302\u0301ng",
    "ﬁ ﬂ ﬀ ﬃ ﬄ ﬅ ﬆ", "ĳ Ĳ œ Œ æ Æ", "ǅ Ǆ ǆ ǈ ǋ ǲ", "straße STRASSE ẞ ß", "Größe Übung ÄÖÜ äöü", "Die Straße nach Füßen", "İstanbul ISTANBUL ıstanbul",
    "İ", "I\u0307", "i\u0307", "ı I i İ", "ΑΣ ας ΌΔΟΣ Σ σ ς", "Ἀρχιμήδης ὈΔΥΣΣΕΎΣ", "ᾳ ᾼ ᾈ ᾀ ῼ", "Ω Ω K Å K k", "ϐ ϑ ϒ ϓ ϕ", "Привет мир ПРИВЕТ", "ё е\u0308 й и\u0306 Ђ Џ",
    "Ґ Є І Ї ї", "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "Հայերեն և ԵՎ", "שלום עולם", "שָׁלוֹם", "שּׁ", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُم", "ﷺ ﷽ ﻼ", "हिन्दी नमस्ते", "क़ क़ ख़",
    "বাংলা ড় ড়", "தமிழ் கொ கொ", "ไทย ภาษา สวัสดี ำ", "ລາວ ພາສາ", "བོད་ཡིག \u0f73 \u0f71\u0f72 \u0f81", "မြန်မာ", "ខ្មែរ", "አማርኛ", "ᏣᎳᎩ ꭰꭱ", "ᚠᚢᚦ", "𐐀𐐁 𐐨", "𞤀𞤢",
    "中文 一隻貓的照片", "猫の写真 ネコ ﾈｺ", "が か\u3099 ガ ｶﾞ パ ハ\u309a", "한국어 고양이", "\u1112\u1161\u11ab\u1100\u116e\u11a8", "각 가\u11a8 \u1100\u1161\u11a8", "㈱ ㍿ ㌔ ℃ № ™ ®",
    "豈 更 車", "\U0002f800 \U0002f803", "𠀀𠀁 𪚥", "，。！？「」", "ＡＢＣ ａｂｃ", "日本語mixedWith英語and123", "😀", "😀😃😄", "a cat 🐱 and dog 🐶", "👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 1️⃣ ❤️ ☺",
    "🔥🔥🔥 lit 🔥", "💯%", "♠♥♦♣ ★☆ ♫", "→ ← ⇒ ∞ ∑ ∫ √ ≠ ≤", "𝐁𝐨𝐥𝐝 𝓢𝓬𝓻𝓲𝓹𝓽 𝔉𝔯𝔞𝔨 𝟘𝟙", "ⒶⒷ ⓐⓑ ① ⑳ 🄰 🅰", "Z̷̢̛a̸͝l̶̀g̵o̴ t̸͠e̷x̶t", "\u0344 \u0340\u0341\u0343 \u0374 \u037e \u0387", "\u2126\u212a\u212b",
    "\u0958\u0959 \u09dc \u0a33 \u0b5c \u0f43 \u2adc \ufb1d", "\U0001d15e \U0001d1bb", "\u1e9b\u0323", "\u0c48 \u0cc0 \u0cca \u0d4a \u0dda", "\U000110ab \U00011131",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababababababababab", "the" * 20, "z" * 100, "!" * 50, "-" * 33, "=" * 64, "😀" * 30, "\u0301\u0316" * 20, "\u0316\u0301\u0327" * 15,
]

# Ranges of characters for generated prompts, name by name for whoever reads a failure.
RANGES = {
    "ascii": (0x20, 0x7E), "controls": (0x00, 0x1F), "latin": (0xA0, 0x24F), "marks": (0x300, 0x36F), "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F),
    "hebrew": (0x591, 0x5F4), "arabic": (0x600, 0x6FF), "devanagari": (0x900, 0x97F), "tamil": (0xB80, 0xBFF), "tibetan": (0xF00, 0xFBC),
    "georgian": (0x10A0, 0x10FF), "jamo": (0x1100, 0x11FF), "latin additional": (0x1E00, 0x1EFF), "greek extended": (0x1F00, 0x1FFE),
    "punctuation": (0x2000, 0x206F), "letterlike": (0x2100, 0x218B), "enclosed": (0x2460, 0x24FF), "kana": (0x3041, 0x30FF), "han": (0x4E00, 0x9FA5),
    "hangul": (0xAC00, 0xD7A3), "presentation": (0xFB00, 0xFB4F), "half width": (0xFF01, 0xFFEE), "mathematical": (0x1D400, 0x1D7FF), "emoji": (0x1F300, 0x1F64F),
}


def byte_names():
    """The visible character that stands for each byte in merges.txt, in the order of the ids."""
    visible = [byte for byte in range(256) if 32 < byte < 127 or (byte > 160 and byte != 173)]
    return [chr(byte) for byte in visible] + [chr(256 + i) for i in range(256 - len(visible))]


def make_tokenizer():
    with open(os.path.join(ROOT, "assets", "clip_merges.txt"), encoding="utf-8") as file:
        merges = [tuple(line.split(" ")) for line in file.read().splitlines()]
    names = byte_names()
    tokens = names + [name + "</w>" for name in names] + ["".join(pair) for pair in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    assert len(vocabulary) == 49408
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def assigned(character):
    return unicodedata.category(character) not in ("Cn", "Cs")


def characters(rng, low, high, count):
    drawn = (chr(rng.randint(low, high)) for _ in iter(int, 1))
    return "".join(next(c for c in drawn if assigned(c)) for _ in range(count))


def generated(rng):
    """About 900 prompts: words, words of one script, scripts mixed, and lengths around one and two chunks."""
    for i in range(420):
        separator = rng.choice([" ", " ", ", ", ",", "  "])
        words = [rng.choice([str, str, str.upper, str.title])(rng.choice(WORDS)) for _ in range(rng.randint(1, 14))]
        yield separator.join(words)
    for low, high in RANGES.values():
        for _ in range(10):
            yield " ".join(characters(rng, low, high, rng.randint(1, 4)) for _ in range(rng.randint(1, 3)))
    for _ in range(150):
        pieces = [characters(rng, *rng.choice(list(RANGES.values())), rng.randint(1, 3)) for _ in range(rng.randint(2, 5))]
        yield rng.choice(["", " "]).join(pieces)
    for count in (10, 30, 60, 73, 74, 75, 76, 77, 100, 149, 150, 151, 200):
        yield " ".join(rng.choice(["cat", "dog", "red", "sky", "9", "!"]) for _ in range(count))


def random_strings(rng, count):
    """Mostly neighbours of each other, so that marks meet bases and cases meet."""
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(1, 6)):
            style = rng.random()
            if style < 0.3:
                pieces.append(characters(rng, 0, 0x10FFFF if rng.random() < 0.3 else 0xFFFF, rng.randint(1, 4)))
            elif style < 0.7:
                pieces.append(characters(rng, *rng.choice(list(RANGES.values())), rng.randint(1, 6)))
            elif style < 0.85:
                pieces.append(rng.choice(WORDS + BY_HAND))
            else:
                pieces.append(rng.choice([" ", "'", "'s", "\u0301", "\u0323", "\u0307", "\u3000", "\x00", "I", "\u0130", "Σ"]))
        yield "".join(pieces)


def write(path, pairs):
    with open(path, "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(pair, separators=(",", ":")) for pair in pairs) + "\n]\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", nargs=2, metavar=("COUNT", "FILE"))
    arguments = parser.parse_args()
    tokenizer = make_tokenizer()
    ids = lambda prompt: tokenizer(prompt, add_special_tokens=False)["input_ids"]
    rng = random.Random(7)
    if arguments.random:
        count, path = arguments.random
        write(path, [[prompt, ids(prompt)] for prompt in random_strings(rng, int(count))])
        return
    os.makedirs(FOLDER, exist_ok=True)
    prompts = list(dict.fromkeys(BY_HAND + list(generated(rng))))
    assert len(prompts) >= 1000
    write(os.path.join(FOLDER, "clip.json"), [[prompt, ids(prompt)] for prompt in prompts])
    short = [prompt for prompt in prompts if len(ids(prompt)) <= 75 and not set("()[]\\") & set(prompt) and "BREAK" not in prompt]
    padded = short[:20] + [prompt for prompt in short if len(ids(prompt)) >= 73] + short[-5:]
    pad = lambda prompt: tokenizer(prompt, padding="max_length", max_length=77, truncation=True)["input_ids"]
    write(os.path.join(FOLDER, "padded.json"), [[prompt, pad(prompt)] for prompt in padded])
    print(len(prompts), "prompts,", len(padded), "padded")


if __name__ == "__main__":
    main()
