"""Real clients of a running `tstitch serve`: webuiapi and openai as people install them, and schemathesis on /openapi.json.

    pip install webuiapi==0.9.17 openai schemathesis
    python3 tools/compare/compare_clients.py build/release/apps/tstitch [--requests 20]

Starts a server of the demo families at a free port of this machine; prints a line for each call that did what its client expects, ends
with 1 at the first that did not. --requests: how many schemathesis makes of every operation, 0 for none.
"""
import argparse
import base64
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

import openai
import webuiapi
from PIL import Image, ImageDraw


@contextlib.contextmanager
def server(program, *words):
    """Its port."""
    process = subprocess.Popen([program, "serve", "--port", "0", "--quiet", *words], stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                break
        else:
            raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait(60)  # it lets what runs come to an end


def expect(what, holds):
    print("ok  " if holds else "FAIL", what, flush=True)
    if not holds:
        raise SystemExit(1)


def mask_of(size):
    """The lower half, white."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rectangle([0, size[1] // 2, *size], fill=255)
    return mask


def a1111(port):
    api = webuiapi.WebUIApi(host="127.0.0.1", port=port, sampler="Euler a", steps=6)
    names = api.util_get_model_names()
    expect("sd-models", any("words" in name for name in names))
    expect("samplers, schedulers, upscalers", api.util_get_sampler_names() and api.util_get_scheduler_names() and api.get_upscalers() is not None)
    api.set_options({"sd_model_checkpoint": "words-l"})
    made = api.txt2img(prompt="red heart", seed=7, steps=6, width=128, height=128, cfg_scale=4)
    expect("txt2img", made.image.size == (128, 128) and made.info["seed"] == 7)
    again = api.txt2img(prompt="red heart", seed=7, steps=6, width=128, height=128, cfg_scale=4)
    expect("the same again", again.image.tobytes() == made.image.tobytes())
    mask = mask_of(made.image.size)
    painted = api.img2img(images=[made.image], mask_image=mask, prompt="blue apple", seed=8, steps=6, width=128, height=128,
                          denoising_strength=0.8, inpainting_fill=1)
    half = (0, 0, 128, 60)
    expect("img2img with a mask", painted.image.tobytes() != made.image.tobytes())
    difference = max(abs(a - b) for a, b in zip(painted.image.crop(half).tobytes(), made.image.crop(half).tobytes()))
    expect(f"what the mask leaves out stays (differs by at most {difference} of 255)", difference < 96)
    info = api.png_info(made.image)
    expect("png_info of a picture without metadata", info.info is not None)
    raw = made.json["images"][0]
    text = api.session.post(api.baseurl + "/png-info", json={"image": "data:image/png;base64," + raw}).json()
    expect("png-info says the parameters", "Steps: 6" in text["info"] and "red heart" in text["info"])
    expect("options", api.get_options()["sd_model_checkpoint"] != "")
    expect("progress", 0 <= api.get_progress()["progress"] <= 1)
    results = []
    long = threading.Thread(target=lambda: results.append(
        api.session.post(api.baseurl + "/txt2img", json={"prompt": "fire", "steps": 900, "sampler_name": "Euler a"})))
    long.start()
    while not api.get_progress()["state"].get("job_count"):
        time.sleep(0.02)
    api.interrupt()
    long.join(30)
    expect("interrupt ends what runs", not long.is_alive() and results and results[0].status_code == 200)
    try:
        api.txt2img(prompt="x", steps=6, enable_hr=True)
        expect("enable_hr is refused", False)
    except RuntimeError as error:
        expect("enable_hr is refused by name", "enable_hr" in str(error))


def open_ai(port):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    expect("models", any(model.id == "words-s+words-l" for model in client.models.list().data))
    made = client.images.generate(model="words-s+words-l", prompt="red heart", n=2, size="128x128", response_format="b64_json",
                                  extra_body={"steps": 6, "ratio": 0.5})
    pictures = [Image.open(io.BytesIO(base64.b64decode(each.b64_json))) for each in made.data]
    expect("generate, two pictures", [picture.size for picture in pictures] == [(128, 128)] * 2)
    buffers = io.BytesIO(), io.BytesIO()
    pictures[0].convert("RGB").save(buffers[0], "PNG")
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 64, 128, 128))
    mask.save(buffers[1], "PNG")
    edited = client.images.edit(model="words-l", image=("a.png", buffers[0].getvalue(), "image/png"),
                                mask=("m.png", buffers[1].getvalue(), "image/png"), prompt="blue apple", extra_body={"steps": "6"})
    expect("edit with a mask", Image.open(io.BytesIO(base64.b64decode(edited.data[0].b64_json))).size == (128, 128))
    kinds = [event.type for event in client.images.generate(model="words-l", prompt="fire", stream=True, extra_body={"steps": 6})]
    expect("a stream", kinds and kinds[-1] == "image_generation.completed")
    for what, error, words in (("an unknown model is 404", openai.NotFoundError, {"model": "nothing", "prompt": "x"}),
                               ("a size that is none is 400", openai.BadRequestError, {"model": "words-l", "prompt": "x", "size": "large"})):
        try:
            client.images.generate(**words)
            expect(what, False)
        except error:
            expect(what, True)
    try:
        client.with_options(timeout=0.2).images.generate(model="words-l", prompt="fire", extra_body={"steps": 900})
        expect("a time-out", False)
    except openai.APITimeoutError:
        expect("a time-out", True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=20)
    args = parser.parse_args()
    with server(args.program) as port:
        a1111(port)
        open_ai(port)
        if args.requests:
            run = os.path.join(os.path.dirname(sys.executable), "schemathesis")
            with tempfile.TemporaryDirectory() as folder:  # where it keeps what it learns
                code = subprocess.run([run, "run", f"http://127.0.0.1:{port}/openapi.json", "--checks", "not_a_server_error",
                                       "--max-examples", str(args.requests), "--request-timeout", "600"], cwd=folder).returncode
            sys.exit(code)


if __name__ == "__main__":
    main()
