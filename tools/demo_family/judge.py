"""How well pictures show their prompts, by the two towers: which prompts each picture is nearest to.

    tstitch sample -p "red heart" -p "blue apple" -o pictures/
    python3 tools/demo_family/judge.py pictures/

Reads the PNG files of a folder, whose prompts they say themselves. The candidates are the names of all emoji and the
prompts asked. Prints every prompt with what was nearest to its picture, then the agreement as `tstitch eval` has it,
and the share of pictures whose prompt is the nearest or among the nearest five.
"""
import argparse
import json
import pathlib

import numpy as np
import torch
from PIL import Image

import emoji
import towers

FEATURES = pathlib.Path(__file__).resolve().parents[2] / "assets/words-features.safetensors"


def read(path):
    """The pixels of a picture that tstitch wrote, (3, H, W), and its prompt."""
    with Image.open(path) as picture:
        prompts = json.loads(picture.info["tstitch"])["prompt"]
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float(), prompts[0]


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--features", default=str(FEATURES), help="default: the shipped ones")
    parser.add_argument("--quiet", action="store_true", help="the last line only")
    args = parser.parse_args()
    model = towers.load(args.features)
    pixels, prompts = zip(*map(read, sorted(args.folder.glob("*.png"))))
    candidates = sorted({*prompts, *(subject.name for subject in emoji.load())})
    pictures = torch.cat([model.embed_pictures(torch.stack(pixels[i:i + 64])) for i in range(0, len(pixels), 64)])
    texts = torch.cat([model.embed_prompts(candidates[i:i + 256]) for i in range(0, len(candidates), 256)])
    right = torch.tensor([candidates.index(prompt) for prompt in prompts])
    near, rank = pictures @ texts.T, towers.ranks(pictures, texts, right)
    if not args.quiet:
        for prompt, row, place in zip(prompts, near, rank.tolist()):
            best = [candidates[i] for i in row.topk(3).indices.tolist()]
            print(f"{place + 1:5} {prompt}: {', '.join(best)}")
    print(json.dumps({"pictures": len(prompts), "agreement": 100 * near.gather(1, right[:, None]).mean().item(),
                      "top1": (rank < 1).float().mean().item(), "top5": (rank < 5).float().mean().item(),
                      "among": len(candidates)}))


if __name__ == "__main__":
    main()
