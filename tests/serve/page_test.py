#!/usr/bin/env python3
"""The page in a real browser: Debian's Chromium, headless, by WebDriver. Standard library only.

    page_test.py PROGRAM [FOLDER for screenshots]

Exits with 77 (skipped) where there is no chromedriver.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

PROGRAM = sys.argv[1]
SHOTS = sys.argv[2] if len(sys.argv) > 2 else None
WORDS_EDGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../assets/words/words-edges")


class Browser:
    """A session of chromedriver."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            self.begin()
        except BaseException:  # or the driver would outlive the test
            self.driver.kill()
            raise

    def begin(self):
        for line in self.driver.stdout:
            if "successfully on port" in line:
                self.url = "http://127.0.0.1:%d" % int(line.rstrip().rstrip(".").split()[-1])
                break
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,1000",
                            "--user-data-dir=" + self.folder.name]}
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = "/session/" + session["sessionId"]

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body is not None else None, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def go(self, url):
        self.ask("POST", self.session + "/url", {"url": url})

    def run(self, script, *arguments):
        return self.ask("POST", self.session + "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, *arguments, seconds=60):
        """Until the script returns something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script, *arguments):
                return value
            time.sleep(0.05)
        raise AssertionError("nothing came of: %s; the page says: %s" % (script, self.run("return document.getElementById('message').textContent")))

    def find(self, css):
        return list(self.ask("POST", self.session + "/element", {"using": "css selector", "value": css}).values())[0]

    def click(self, css):
        self.ask("POST", "%s/element/%s/click" % (self.session, self.find(css)), {})

    def type(self, css, text):
        self.ask("POST", "%s/element/%s/value" % (self.session, self.find(css)), {"text": text})

    def set(self, field, value):
        self.run("const e = document.getElementById(arguments[0]); e.value = arguments[1];"
                 "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));", field, value)

    def drop(self, css, data_url):
        """A picture, as if it were dragged there."""
        self.run("""const bytes = Uint8Array.from(atob(arguments[1].split(',')[1]), (c) => c.charCodeAt(0));
                    const dataTransfer = new DataTransfer();
                    dataTransfer.items.add(new File([bytes], 'dropped.png', { type: 'image/png' }));
                    document.querySelector(arguments[0]).dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));""", css, data_url)

    def shoot(self, name):
        if SHOTS:
            with open(os.path.join(SHOTS, name + ".png"), "wb") as file:
                file.write(base64.b64decode(self.ask("GET", self.session + "/screenshot")))

    def errors(self):
        log = self.ask("POST", self.session + "/se/log", {"type": "browser"})
        return [one["message"] for one in log if one["level"] == "SEVERE"]

    def close(self):
        self.ask("DELETE", self.session)
        self.driver.terminate()
        self.driver.wait()
        self.driver.stdout.close()
        self.folder.cleanup()


SAID = "return document.getElementById('message').textContent"
PICTURES = "return [...document.querySelectorAll('#pictures img')].filter(i => i.complete && i.naturalWidth).map(i => i.src)"
SHOWN = "return arguments[0].map(id => document.getElementById(id).getClientRects().length > 0)"
VALUES = "return arguments[0].map(id => document.getElementById(id).value)"


def generate(browser, kept):
    """The picture, once it is the newest of so many in the gallery, where it is kept behind what is said."""
    browser.click("#generate")
    browser.wait("return document.querySelectorAll('#gallery img').length === arguments[0]", kept)
    picture, = browser.wait(PICTURES)
    return picture


def check_prompts(browser):
    assert browser.run(SHOWN, ["prompt", "class", "control", "control-settings"]) == [True, False, True, False]
    browser.set("prompt", "red heart")
    for field in ("steps", "seed"):
        browser.set(field, "4")
    free = generate(browser, 1)

    # Steered by that picture, the large model alone.
    browser.set("control", "edges")
    assert browser.run("return document.getElementById('control-help').textContent") == "It steers words-l alone."
    browser.click("#generate")
    browser.wait("return document.getElementById('message').classList.contains('error')")
    assert "the picture to follow" in browser.run(SAID), browser.run(SAID)
    browser.drop("#control-settings", free)
    browser.wait("return document.getElementById('hint-picture').naturalWidth === 128")
    browser.set("control-strength", "0.5")
    browser.set("control-end", "0.75")
    steered = generate(browser, 2)
    browser.click("#canny")
    for field, value in (("canny-low", "30"), ("canny-high", "60")):
        browser.set(field, value)
    browser.shoot("1-control")
    with_edges = generate(browser, 3)
    assert len({free, steered, with_edges}) == 3

    # A picture gives all that back but what it followed; one that followed none clears it.
    fields = ["control", "control-strength", "control-begin", "control-end", "canny-low", "canny-high"]
    browser.drop("#result", free)
    browser.wait(SAID + " === 'These are its settings.'")
    assert browser.run(VALUES, fields)[:4] == ["", "1", "0", "1"]
    browser.drop("#result", with_edges)
    browser.wait(SAID + " === 'These are its settings, without the picture that it followed.'")
    assert browser.run(VALUES, fields) == ["edges", "0.5", "0", "0.75", "30", "60"]
    assert generate(browser, 4) == with_edges  # what was dropped there still is


def check_page(browser, url):
    browser.go(url)
    browser.wait("return document.getElementById('model').value === 'words-s+words-l' && !document.getElementById('prompt-field').hidden")
    browser.shoot("1-start")
    check_prompts(browser)

    # The garments, which no ControlNet fits.
    browser.set("model", "fashion-s+fashion-l")
    browser.wait("return document.getElementById('class').options.length === 10")
    assert browser.run(SHOWN, ["prompt", "class", "control"]) == [False, True, False]
    browser.set("class", "Sandal")
    browser.set("steps", "6")
    browser.set("seed", "3")
    first = generate(browser, 5)
    assert "seed 3" in browser.run(SAID), browser.run(SAID)
    browser.shoot("2-generated")

    # All shares, and the slider over them.
    browser.click("#strip")
    browser.wait("return document.querySelectorAll('#strip-pictures img').length === 6")
    browser.wait("return document.getElementById('cancel').disabled")
    shown = []
    for share in ("0", "40", "100"):
        browser.set("ratio", share)
        shown += browser.wait(PICTURES)
        assert browser.run("return document.querySelector('#strip-pictures .chosen').dataset.ratio") == share
    assert len(set(shown)) == 3
    assert browser.run("return document.querySelectorAll('#curve circle').length") == 6
    browser.set("ratio", "40")
    browser.shoot("3-strip")

    # Cancel.
    browser.set("steps", "1000")
    browser.click("#generate")
    browser.wait("return !document.getElementById('cancel').disabled")
    browser.click("#cancel")
    browser.wait("return document.getElementById('message').textContent === 'Cancelled.'")

    # What the server refuses is said.
    browser.set("steps", "6")
    browser.set("width", "29")
    browser.click("#generate")
    browser.wait("return document.getElementById('message').classList.contains('error')")
    assert "width is 29" in browser.run(SAID), browser.run(SAID)
    browser.shoot("4-error")

    # The gallery is still there after a reload; a picture gives its settings back.
    browser.go(url)
    browser.wait("return document.querySelectorAll('#gallery img').length === 5 && !document.getElementById('prompt-field').hidden")
    browser.click("#gallery button")
    browser.wait(SAID + " === 'These are its settings.'")
    assert browser.run(VALUES, ["class", "steps", "seed"]) == ["Sandal", "6", "3"]
    assert generate(browser, 6) == first

    # From a picture, with a mask painted on it.
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(base64.b64decode(first.split(",")[1]))
        file.flush()
        browser.click("#start summary")
        browser.type("#init", file.name)
        browser.wait("return !document.getElementById('canvas-field').hidden && document.getElementById('canvas').width === 28")
    element = {"element-6066-11e4-a52e-4f735466cecf": browser.find("#canvas")}
    browser.run("arguments[0].scrollIntoView()", element)
    move = lambda x, y: {"type": "pointerMove", "origin": element, "x": x, "y": y, "duration": 20}
    browser.ask("POST", browser.session + "/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [
        move(-60, -40), {"type": "pointerDown", "button": 0}, move(0, 0), move(60, 40), {"type": "pointerUp", "button": 0}]}]})
    browser.set("class", "Bag")
    browser.set("strength", "1")
    browser.shoot("5-mask")
    masked = generate(browser, 7)
    assert masked != first
    browser.shoot("6-masked")
    browser.drop("#result", masked)
    browser.wait(SAID + " === 'These are its settings, without the picture that it started from.'")

    # Painted is what the mask says, and seen on the picture.
    assert browser.run("""const pixels = document.getElementById('canvas').getContext('2d').getImageData(0, 0, 28, 28).data;
                          return pixels[4 * (14 * 28 + 14)] > pixels[4 * (14 * 28 + 14) + 1] + 50""")

    # Without a key nothing asks for one, and what does not belong to the model is not there.
    assert browser.run(SHOWN, ["key-field", "prompt-field", "control-field"]) == [False] * 3

    # On a phone nothing is wider than the screen.
    browser.ask("POST", browser.session + "/window/rect", {"width": 500, "height": 900})
    assert browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    browser.shoot("7-narrow")
    # By keyboard: every control can be reached and is labelled.
    bare = browser.run("return [...document.querySelectorAll('input,select,textarea,canvas')].filter(e => !e.labels?.length && !e.getAttribute('aria-describedby')).map(e => e.id)")
    assert bare == [], bare
    severe = [line for line in browser.errors() if "422" not in line]
    assert severe == [], severe


def main():
    if not shutil.which("chromedriver"):
        print("There is no chromedriver here, so the page is not tested: scripts/install_dependencies --page installs it.")
        return 77
    nets = tempfile.TemporaryDirectory()
    os.symlink(os.path.realpath(WORDS_EDGES), os.path.join(nets.name, "edges"))  # alone: beside it lies what is no ControlNet
    server = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--quiet", "--control-dir", nets.name], stdout=subprocess.PIPE, text=True)
    browser = None
    try:
        browser = Browser()
        check_page(browser, server.stdout.readline().strip())
    finally:
        if browser:
            browser.close()
        server.terminate()
        code = server.wait()
        server.stdout.close()
        nets.cleanup()
    assert code == 0, code
    return 0


sys.exit(main())
