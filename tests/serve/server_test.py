#!/usr/bin/env python3
"""The built program over HTTP: its dialects, its limits, and clients that mean no good. Standard library only.

    server_test.py PROGRAM [unittest's arguments]

TSTITCH_TEST_PATIENCE=10 waits ten times as long and lets more memory be taken: for programs with sanitizers, without ctest,
which ends the test after 300 s.
"""

import base64
import concurrent.futures
import http.client
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import zlib

PROGRAM = sys.argv.pop(1)
PATIENCE = float(os.environ.get("TSTITCH_TEST_PATIENCE", "1"))  # what every limit of time here is multiplied by
REFUSED_BODY_BYTES = (64 if PATIENCE == 1 else 256) << 20  # of memory that one may take: sanitizers keep what is freed
ASSETS = os.environ.get("TSTITCH_ASSETS", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "assets"))


class Server:
    """A running `tstitch serve` on a port of its own."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--quiet", *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read())
        self.url = urllib.parse.urlparse(line.strip())
        self.port = self.url.port

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """Status, headers, body: JSON where it is JSON."""
        connection = self.connect(timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.headers.get_content_type() == "application/json" and data:
            data = json.loads(data)
        return answer.status, answer.headers, data

    def raw(self, data, timeout=30):
        """What comes back for these bytes until the server closes, or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout * PATIENCE) as s:
            s.sendall(data)
            answer = b""
            try:
                while part := s.recv(65536):
                    answer += part
            except (TimeoutError, ConnectionResetError):
                pass
        return answer

    def job(self, body):
        """A job's JSON once it has ended."""
        status, headers, job = self.ask("POST", "/v1/jobs", body)
        assert status == 202, job
        return self.wait(job["id"])

    def wait(self, job):
        begin = time.monotonic()
        while True:
            _, _, answer = self.ask("GET", "/v1/jobs/" + job)
            if answer["status"] not in ("queued", "running"):
                return answer
            assert time.monotonic() - begin < 300 * PATIENCE, ("the job does not end", answer)
            time.sleep(0.01)

    def metrics(self):
        _, _, text = self.ask("GET", "/metrics")
        return {line.split()[0]: float(line.split()[1]) for line in text.decode().splitlines() if line[0] != "#"}

    def end(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        return self.process.wait(60 * PATIENCE)

    def close(self):
        self.process.stdout.close()
        self.process.stderr.close()


def sample(options):
    """The PNG file that `tstitch sample` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.png")
        subprocess.run([PROGRAM, "sample", "-q", "-o", path, *options], check=True)
        with open(path, "rb") as file:
            return file.read()


class Test(unittest.TestCase):
    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--queue", "40")

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        errors = cls.server.process.stderr.read()
        cls.server.close()
        assert code == 0, (code, errors)

    def ask(self, *arguments, **named):
        return self.server.ask(*arguments, **named)

    def expect_refused(self, status, code, answer):
        self.assertEqual((answer[0], answer[2]["error"]["code"]), (status, code), answer[2])


class Jobs(Test):
    def test_a_picture_is_that_of_the_command_line(self):
        job = self.server.job({"class": "Sandal", "steps": 6, "ratio": 0.5, "seed": 4})
        self.assertEqual(job["status"], "done")
        picture, = job["images"]
        self.assertEqual(picture["seed"], 4)
        expected = sample(["--class", "Sandal", "--steps", "6", "--ratio", "0.5", "--seed", "4"])
        self.assertEqual(base64.b64decode(picture["png"]), expected)

    def test_many_at_once_are_as_alone(self):
        dice = random.Random(5)
        requests = [{"class": dice.randrange(10), "steps": dice.randrange(2, 8), "seed": dice.randrange(1000),
                     "ratio": dice.choice([0, 0.3, 0.5, 1]), "cfg_scale": dice.choice([1, 3]),
                     "sampler": dice.choice(["ddim", "euler_a", "dpm++2m"])} for _ in range(16)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            jobs = list(pool.map(self.server.job, requests))
        for request, job in zip(requests, jobs):
            options = [part for name, value in request.items() for part in ("--" + name.replace("_", "-"), str(value))]
            self.assertEqual(base64.b64decode(job["images"][0]["png"]), sample(options), request)

    def test_its_life(self):
        status, headers, job = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 5})
        self.assertEqual(status, 202)
        self.assertEqual(headers["Location"], "/v1/jobs/" + job["id"])
        self.assertIn(job["status"], ("queued", "running"))
        done = self.server.wait(job["id"])
        self.assertEqual((done["status"], done["step"], done["steps"], done["stage"]), ("done", 5, 5, "fashion-l"))
        self.assertEqual(self.ask("DELETE", headers["Location"])[0], 409)
        self.expect_refused(404, "job_not_found", self.ask("GET", "/v1/jobs/0123"))

    def test_events(self):
        _, headers, job = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 40, "ratio": 0.5})
        status, headers, text = self.ask("GET", headers["Location"] + "/events")
        self.assertEqual((status, headers.get_content_type()), (200, "text/event-stream"))
        events = [part.split("\n") for part in text.decode().split("\n\n") if part.startswith("event: ")]
        self.assertEqual(events[-1][0], "event: done")
        self.assertEqual(json.loads(events[-1][1][6:])["id"], job["id"])
        steps = [json.loads(data[6:]) for name, data in events if name == "event: step"]
        self.assertEqual(steps[-1], {"step": 40, "steps": 40, "stage": "fashion-l"})
        self.assertEqual([s["step"] for s in steps], list(range(steps[0]["step"], 41)))
        # Of one that has ended there is only that.
        self.assertTrue(self.ask("GET", "/v1/jobs/" + job["id"] + "/events")[2].startswith(b"event: done"))

    def test_cancelling(self):
        _, headers, job = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 1000, "ratio": 0})
        self.assertIn(job["id"], [j["id"] for j in self.ask("GET", "/v1/jobs")[2]["jobs"]])
        self.assertEqual(self.ask("DELETE", headers["Location"])[0], 200)
        begin = time.monotonic()
        self.assertEqual(self.server.wait(job["id"])["status"], "cancelled")
        self.assertLess(time.monotonic() - begin, 5 * PATIENCE)
        self.assertEqual(self.ask("DELETE", headers["Location"])[0], 200)  # twice

    def test_a_picture_to_start_from(self):
        first = self.server.job({"class": "Bag", "steps": 4})["images"][0]["png"]
        job = self.server.job({"class": "Bag", "steps": 6, "init_image": first, "strength": 0.5, "seed": 2})
        self.assertEqual(job["steps"], 3)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "first.png")
            with open(path, "wb") as file:
                file.write(base64.b64decode(first))
            expected = sample(["--class", "Bag", "--steps", "6", "-i", path, "--strength", "0.5", "--seed", "2"])
        # The files differ in what they say of the initial picture.
        self.assertEqual(pixels(base64.b64decode(job["images"][0]["png"])), pixels(expected))

    def test_refusals(self):
        for body, status, code in [({"widht": 3}, 422, "unknown_field"),
                                   ({"class": 1, "steps": 0}, 422, "invalid_value"),
                                   ({"model": "/etc/passwd"}, 404, "model_not_found"),
                                   ({"vae": "x"}, 422, "not_allowed"),
                                   ({"device": "cuda"}, 422, "not_allowed"),
                                   ({"class": 1, "batch_count": 1000}, 422, "out_of_range"),
                                   ({"class": 1, "width": 2000, "height": 2000}, 413, "too_large"),
                                   ({"class": 1, "init_image": "http://localhost/"}, 422, "not_allowed"),
                                   ({"class": 1, "budget": "3s"}, 422, "not_allowed"),
                                   ({"class": 1, "control_net": {"name": "canny", "image": "x"}}, 422, "invalid_image"),
                                   ([], 400, "invalid_json")]:
            self.expect_refused(status, code, self.ask("POST", "/v1/jobs", body))
        # The field is named also where the value is of another type.
        for body, param in [({"steps": True}, "steps"), ({"width": {}}, "width"), ({"lora": "x:heavy"}, "lora"), ({"stages": [{"share": True}]}, "stages"),
                            ({"control_net": {"image": ""}}, "control_net"), ({"control_net": 1}, "control_net"), ({"twin": "x=1"}, "twin")]:
            self.assertEqual(self.ask("POST", "/v1/jobs", {"class": 1} | body)[2]["error"]["param"], param)

    def test_no_body_is_no_request(self):
        for path in ("/v1/jobs", "/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/v1/images/generations", "/sdapi/v1/options"):
            for headers in ({}, {"Content-Type": "application/json"}):
                status, _, answer = self.ask("POST", path, b"", headers)
                self.assertEqual((status, "there is no body" in json.dumps(answer)), (400, True), (path, answer))

    def test_a_full_queue_is_said_at_once(self):
        jobs = []
        begin = slowest = 0
        try:
            for _ in range(60):
                begin = time.monotonic()
                answer = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 1000, "ratio": 0})
                if answer[0] == 202:
                    jobs.append(answer[2]["id"])
                    continue
                slowest = max(slowest, time.monotonic() - begin)
                self.expect_refused(429, "queue_full", answer)
                self.assertGreater(int(answer[1]["Retry-After"]), 0)
            self.assertEqual(len(jobs), 40 + 16)
            for path in ("/v1/jobs", "/sdapi/v1/txt2img", "/v1/images/generations"):  # whatever it says
                self.assertEqual(self.ask("POST", path, {"steps": "none"})[0], 429, path)
            self.assertEqual(self.server.metrics()["tstitch_queue_length"], 40)
            self.assertLess(slowest, PATIENCE)  # 50 ms on a quiet machine
        finally:
            for job in jobs:
                self.ask("DELETE", "/v1/jobs/" + job)
        for job in jobs:
            self.assertEqual(self.server.wait(job)["status"], "cancelled")

    def test_whoever_watches_may_go(self):
        _, headers, job = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 300, "ratio": 1})
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", self.server.port)) as s:
                s.sendall(b"GET /v1/jobs/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % job["id"].encode())
                s.recv(100)
        self.assertEqual(self.server.wait(job["id"])["status"], "done")


def pixels(png):
    """The IDAT chunks."""
    at, data = 8, b""
    while at < len(png):
        size = int.from_bytes(png[at:at + 4], "big")
        if png[at + 4:at + 8] == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += size + 12
    return data


class House(Test):
    def test_health(self):
        self.assertEqual(self.ask("GET", "/healthz")[2]["status"], "ok")
        self.assertEqual(self.ask("GET", "/readyz")[2], {"status": "ready"})
        self.assertEqual(self.ask("HEAD", "/healthz")[2], b"")

    def test_metrics(self):
        self.server.job({"class": 1, "steps": 3, "ratio": 0.5})
        metrics = self.server.metrics()
        self.assertGreaterEqual(metrics["tstitch_pictures_total"], 1)
        self.assertGreaterEqual(metrics['tstitch_stage_evaluations_total{model="fashion-s"}'], 1)
        self.assertGreaterEqual(metrics["tstitch_rows_total"], metrics["tstitch_evaluations_total"])
        self.assertGreater(metrics["tstitch_models_bytes"], 1e6)

    def test_every_route_of_the_document_is_there(self):
        document = self.ask("GET", "/openapi.json")[2]
        self.assertTrue(document["openapi"].startswith("3.1"))
        properties = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        for name in ("class", "prompt", "ratio", "stages", "init_image", "mask", "seed"):
            self.assertIn(name, properties)
        for name in ("vae", "device", "lora_dir", "noise", "init_latent"):
            self.assertNotIn(name, properties)
        self.assertEqual(properties["control_net"]["type"], ["array", "object", "string"])
        self.assertNotIn("--", properties["control_net"]["description"])
        form = document["paths"]["/v1/images/edits"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        self.assertEqual({form[name]["type"] for name in ("stages", "control_net")}, {"string"})
        for path, operations in document["paths"].items():
            for method in operations:
                status, _, answer = self.ask(method.upper(), path.replace("{id}", "none").replace("{model}", "none"), b"{}" if method == "post" else None,
                                             {"Content-Type": "application/json"})
                self.assertNotIn(status, (405, 500), (method, path, answer))
                if status == 404:  # of what is asked for, not of the route
                    code = answer["error"]["code"] if isinstance(answer["error"], dict) else answer["error"]
                    self.assertIn(code, ("job_not_found", "model_not_found", "Init image not found"))

    def test_paths_and_methods(self):
        self.expect_refused(404, "not_found", self.ask("GET", "/nothing"))
        status, headers, answer = self.ask("PUT", "/v1/jobs", b"{}")
        self.assertEqual((status, headers["Allow"]), (405, "POST, GET, HEAD"))
        for path in ("/../../etc/passwd", "/%2e%2e%2fetc/passwd", "//etc/passwd", "/v1/jobs/..%2f..%2fetc%2fpasswd", "/v1/jobs/%00", "/v1/jobs/%zz",
                     "/healthz/", "/v1/jobs/a/b/c"):
            self.assertEqual(self.ask("GET", path)[0], 404, path)


def statuses(answer):
    """Of all answers in these bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) if status != b"100"]


class Hostile(Test):
    def tearDown(self):
        begin = time.monotonic()
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        self.assertLess(time.monotonic() - begin, 2 * PATIENCE)

    def test_what_is_no_http(self):
        post = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for data, expected in [
                (b"hello\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
                (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
                (b"GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n", (400, 505)),
                (b"FOO /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, 501)),
                (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
                (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
                (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 100 + b"\r\n", 431),
                (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n", 400),
                (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", (400, 505)),
                (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
                (post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
                (post + b"Content-Length: -1\r\n\r\n{}", 400),
                (post + b"Content-Length: +2\r\n\r\n{}", 400),
                (post + b"Content-Length: 99999999999999999999\r\n\r\n{}", 400),
                (post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                (post + b"Transfer-Encoding: gzip\r\n\r\n{}", 501),
                (post + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 400),
                (post + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n", (400, 413)),
                (post + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", 400),
                (post + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
                (post + b"Expect: more\r\nContent-Length: 2\r\n\r\n{}", 417),
                (b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415),
                (b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415)]:
            got = statuses(self.server.raw(data))
            self.assertEqual(len(got), 1, (data[:200], got))
            self.assertIn(got[0], expected if isinstance(expected, tuple) else (expected,), data[:200])

    def test_json(self):
        for body in [b"{", b"nonsense", b'{"class": 1} {}', b'{"class": 1, "class": 2}', b'{"class": "\xff"}', b"{\"class\": 1}\0", b'{"steps": NaN}',
                     b'{"steps": 1e999}', b"[" * 100000, b'{"a":' * 100 + b"1" + b"}" * 100, b'\xef\xbb\xbf{"class": 1}', b'{"class": "\\ud800"}']:
            self.expect_refused(400, "invalid_json", self.ask("POST", "/v1/jobs", body, {"Content-Type": "application/json"}))
        many = json.dumps({"k%d" % i: 1 for i in range(100000)})
        self.expect_refused(422, "unknown_field", self.ask("POST", "/v1/jobs", many, {"Content-Type": "application/json"}))

    def test_large_bodies(self):
        post = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        # Decided before anything is read.
        self.assertEqual(statuses(self.server.raw(post + b"Content-Length: 1000000000\r\n\r\n")), [413])
        self.assertEqual(statuses(self.server.raw(post + b"Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n")), [413])
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30 * PATIENCE) as s:
            before = self.server.metrics()["tstitch_peak_memory_bytes"]
            s.sendall(post + b"Transfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(300):
                    s.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                pass
            else:  # it is let in and thrown away for a moment, so that the answer arrives
                self.assertEqual(statuses(s.recv(1000)), [413])
            self.assertLess(self.server.metrics()["tstitch_peak_memory_bytes"], before + REFUSED_BODY_BYTES)

    def test_continue(self):
        body = b'{"class": 1, "steps": 2}'
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30 * PATIENCE) as s:
            s.sendall(head % len(body))
            self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 100 "))
            s.sendall(body)
            self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 202 "))

    def test_pipelining(self):
        one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.assertEqual(statuses(self.server.raw(one * 5 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))), [200] * 6)

    def test_slow_and_silent_clients(self):
        clients = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(100)]
        for client in clients[:50]:
            client.sendall(b"GET /heal")
        begin = time.monotonic()
        self.assertEqual(self.ask("GET", "/healthz")[0], 200)
        self.assertLess(time.monotonic() - begin, PATIENCE)
        for client in clients[:50]:
            client.settimeout(20 * PATIENCE)
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 408 "))
        for client in clients[50:]:
            client.settimeout(20 * PATIENCE)
            self.assertEqual(client.recv(100), b"")
        for client in clients:
            client.close()
        self.assertLess(time.monotonic() - begin, 25 * PATIENCE)

    def test_more_connections_than_there_may_be(self):
        clients = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(400)]
        for client in clients:
            client.close()
        for _ in range(100):
            try:
                if self.ask("GET", "/healthz")[0] == 200:
                    break
            except (ConnectionError, http.client.HTTPException):
                time.sleep(0.05)

    def test_other_hosts_and_pages(self):
        for headers in ({"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:%d" % self.server.port}, {"Origin": "https://evil.example"},
                        {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 2}, headers)
            self.expect_refused(403, "foreign_page", answer)
            self.assertIsNone(answer[1]["Access-Control-Allow-Origin"])
        own = {"Origin": "http://127.0.0.1:%d" % self.server.port, "Sec-Fetch-Site": "same-origin"}
        self.assertEqual(self.ask("POST", "/v1/jobs", {"class": 1, "steps": 2}, own)[0], 202)


class A1111(Test):
    def txt2img(self, **body):
        status, _, answer = self.ask("POST", "/sdapi/v1/txt2img", body)
        self.assertEqual(status, 200, answer)
        return answer["images"], json.loads(answer["info"]), answer

    def expect_refused(self, status, part, path, body):
        answer = self.ask("POST", path, body)
        self.assertEqual(answer[0], status, answer[2])
        self.assertIn(part, answer[2]["detail"])

    # What webuiapi 0.9.17 sends when nothing is said but a prompt and few steps.
    WEBUIAPI = {"enable_hr": False, "hr_scale": 2, "hr_upscaler": "Latent", "hr_second_pass_steps": 0, "hr_resize_x": 0, "hr_resize_y": 0,
                "denoising_strength": 0.7, "firstphase_width": 0, "firstphase_height": 0, "prompt": "Bag", "styles": [], "seed": 3, "subseed": -1,
                "subseed_strength": 0.0, "seed_resize_from_h": 0, "seed_resize_from_w": 0, "batch_size": 1, "n_iter": 1, "steps": 4,
                "cfg_scale": 7.0, "width": 512, "height": 512, "restore_faces": False, "tiling": False, "do_not_save_samples": False,
                "do_not_save_grid": False, "negative_prompt": "", "eta": 1.0, "s_churn": 0, "s_tmax": 0, "s_tmin": 0, "s_noise": 1,
                "override_settings": {}, "override_settings_restore_afterwards": True, "sampler_name": "Euler a", "scheduler": "automatic",
                "sampler_index": "Euler a", "script_name": None, "script_args": [], "send_images": True, "save_images": False,
                "alwayson_scripts": {}, "hr_checkpoint_name": None, "hr_sampler_name": None, "hr_scheduler": None, "hr_prompt": "",
                "hr_negative_prompt": "", "use_async": False}

    def test_a_client(self):
        images, info, answer = self.txt2img(**self.WEBUIAPI)
        self.assertEqual(base64.b64decode(images[0]),
                         sample(["--class", "Bag", "--steps", "4", "--cfg-scale", "7", "--sampler", "euler_a", "--seed", "3", "-W", "28", "-H", "28"]))
        self.assertEqual((info["seed"], info["all_seeds"], info["sampler_name"], info["steps"], info["width"]), (3, [3], "Euler a", 4, 28))
        self.assertIn("width 512 is not one of fashion-l: 28 was taken", info["notes"])
        self.assertTrue(any("eta has no effect" in note for note in info["notes"]))
        self.assertTrue(any("use_async" in note for note in info["notes"]))
        self.assertEqual(answer["parameters"]["prompt"], "Bag")

    def test_what_a_picture_says_comes_back(self):
        images, info, _ = self.txt2img(prompt="Ankle boot", steps=3, batch_size=2, n_iter=2, cfg_scale=3)
        self.assertEqual((len(images), len(set(info["all_seeds"]))), (4, 4))
        for image, text, seed in zip(images, info["infotexts"], info["all_seeds"]):
            said = self.ask("POST", "/sdapi/v1/png-info", {"image": "data:image/png;base64," + image})[2]
            self.assertEqual(said["info"], text)
            self.assertEqual((said["parameters"]["Steps"], said["parameters"]["CFG scale"], said["parameters"]["Seed"]), ("3", "3", str(seed)))
            self.assertIn("Ankle boot", said["parameters"]["Prompt"])
        # And made again it is the same picture.
        options = json.loads(said["items"]["tstitch"])
        job = self.server.job({name: value for name, value in options.items() if name not in ("dtype", "device", "weights")})
        # The files differ in the number of the picture within its job.
        self.assertEqual(pixels(base64.b64decode(job["images"][0]["png"])), pixels(base64.b64decode(images[3])))

    def test_a_refiner_is_the_second_stage(self):
        for body in ({"override_settings": {"sd_model_checkpoint": "fashion-s"}, "refiner_checkpoint": "fashion-b", "refiner_switch_at": 0.5},
                     {"override_settings": {"sd_model_checkpoint": "fashion-s"}, "alwayson_scripts": {"Refiner": {"args": [True, "fashion-b", 0.5]}}},
                     {"override_settings": {"sd_model_checkpoint": "fashion-s+fashion-b"}, "ratio": 0.5}):
            images, info, _ = self.txt2img(prompt="Bag", steps=4, seed=1, **body)
            self.assertEqual(base64.b64decode(images[0]), sample(["-m", "fashion-s", "-m", "fashion-b", "--ratio", "0.5", "--class", "Bag", "--steps", "4", "--seed", "1"]))
        images, info, _ = self.txt2img(prompt="Bag", steps=4, stages=[{"model": "fashion-b", "until": 1}, {"model": "fashion-l"}])
        self.assertEqual(info["extra_generation_params"]["Stitched"], "fashion-b: step 1, fashion-l: 2-4")

    # Honoured or refused by its name; A1111 would take a refiner for all steps where nothing says from which on.
    def test_no_refiner_is_dropped(self):
        own = {"prompt": "Bag", "steps": 2, "seed": 1, "override_settings": {"sd_model_checkpoint": "fashion-s"}}
        for body, part in [({"refiner_checkpoint": "fashion-b"}, "refiner_switch_at"), ({"refiner_checkpoint": "fashion-b", "refiner_switch_at": None}, "refiner_switch_at"),
                           ({"refiner_checkpoint": "fashion-b", "refiner_switch_at": 1.5}, "expected 0 ... 1"),
                           ({"refiner_checkpoint": "fashion-b", "refiner_switch_at": -1}, "expected 0 ... 1"),
                           ({"refiner_checkpoint": "fashion-s+fashion-b", "refiner_switch_at": 0.5}, "several models"),
                           ({"refiner_checkpoint": "fashion-b", "ratio": 0.5}, "they exclude"),
                           ({"refiner_checkpoint": "fashion-b", "stages": [{"share": 0.5}, {}]}, "they exclude"),
                           ({"refiner_checkpoint": "fashion-b", "refiner_switch_at": 0.5, "stages": [{"share": 0.5}, {}]}, "they exclude")]:
            self.expect_refused(422, part, "/sdapi/v1/txt2img", own | body)
        for more in ({}, {"refiner_switch_at": 1}, {"stages": [{"share": 0.5}, {}]}):
            self.expect_refused(404, "no model", "/sdapi/v1/txt2img", own | {"refiner_checkpoint": "nope"} | more)
        alone = self.txt2img(**own)
        self.assertEqual(alone[1]["notes"], [])
        for body, part in [({"refiner_checkpoint": "", "refiner_switch_at": 0}, None), ({"refiner_checkpoint": "none", "refiner_switch_at": None}, None),
                           ({"refiner_switch_at": 0.8}, "refiner_switch_at has no effect"),
                           ({"refiner_checkpoint": "fashion-b", "refiner_switch_at": 1}, "serves no step")]:
            images, info, _ = self.txt2img(**own, **body)
            self.assertEqual((images, info["sd_model_name"]), (alone[0], "fashion-s"))
            self.assertEqual([part in note for note in info["notes"]], [True] if part else [], info["notes"])

    def test_infotexts_have_the_names_of_the_web_ui(self):
        for body, part in [({"sampler_name": "Euler a"}, "Sampler: Euler a, "), ({"sampler_name": "PLMS"}, "Sampler: PLMS, "),
                           ({"sampler_name": "DPM++ 2M SDE", "scheduler": "Karras"}, "Sampler: DPM++ 2M SDE, Schedule type: Karras, ")]:
            images, info, _ = self.txt2img(prompt="Bag", steps=2, seed=1, **body)
            self.assertIn(part, info["infotexts"][0])
            said = self.ask("POST", "/sdapi/v1/png-info", {"image": images[0]})[2]["parameters"]
            self.assertEqual(said["Sampler"], info["sampler_name"])
            again = {"sampler_name": said["Sampler"]} | ({"scheduler": said["Schedule type"]} if "Schedule type" in said else {})
            self.assertEqual(self.txt2img(prompt="Bag", steps=2, seed=1, **again)[0], images)

    def test_from_a_picture_with_a_mask(self):
        first, _, _ = self.txt2img(prompt="Bag", steps=3)
        body = {"init_images": ["data:image/png;base64," + first[0]], "mask": first[0], "prompt": "Shirt", "steps": 4, "denoising_strength": 0.5,
                "mask_blur": 0, "inpainting_fill": 0, "inpaint_full_res": True, "resize_mode": 0, "width": 512, "height": 512, "image_cfg_scale": 1.5}
        status, _, answer = self.ask("POST", "/sdapi/v1/img2img", body)
        self.assertEqual(status, 200, answer)
        self.assertEqual(json.loads(answer["info"])["denoising_strength"], 0.5)
        self.assertIsNone(answer["parameters"]["init_images"])
        inverted = self.ask("POST", "/sdapi/v1/img2img", body | {"inpainting_mask_invert": 1, "seed": 1})[2]
        self.assertNotEqual(answer["images"], inverted["images"])
        self.expect_refused(404, "init_images", "/sdapi/v1/img2img", {"prompt": "Bag"})

    def test_what_is_not_honoured_is_refused_by_name(self):
        for body, part in [({"enable_hr": True}, "enable_hr"), ({"tiling": True}, "tiling"), ({"restore_faces": True}, "restore_faces"),
                           ({"subseed_strength": 0.5}, "subseed_strength"), ({"styles": ["x"]}, "styles"), ({"script_name": "x"}, "script_name"),
                           ({"alwayson_scripts": {"ControlNet": {"args": [{"x": 1}]}}}, "ControlNet"), ({"s_churn": 1}, "s_churn"),
                           ({"alwayson_scripts": {"ADetailer": {"args": [True, True, {"ad_model": "face_yolov8n.pt"}]}}}, "ADetailer"), ({"budget": "3s"}, "budget"),
                           ({"control_net": ["x"]}, "control_net"), ({"embedding": ["x"]}, "embedding"), ({"model": "x"}, "sd_model_checkpoint"),
                           ({"batch_count": 2}, "n_iter"), ({"timesteps": "999,1"}, "exclude each other"),
                           ({"override_settings": {"sd_vae": "x.pt"}}, "sd_vae"), ({"negative_prompt": "a dog"}, "understands no text"),
                           ({"steps": "4"}, "steps"), ({"steps": 4.5}, "steps"), ({"batch_size": 0}, "batch_size"), ({"prompt": 3}, "prompt"),
                           ({"prompt": "unicorn"}, "unicorn"), ({"seed": -2}, "seed"), ({"inpainting_fill": 2}, "inpainting_fill")]:
            self.expect_refused(422, part, "/sdapi/v1/txt2img", {"prompt": "Bag", "steps": 2} | body)
        self.expect_refused(404, "no sampler", "/sdapi/v1/txt2img", {"prompt": "Bag", "sampler_name": "best"})
        self.expect_refused(404, "no model", "/sdapi/v1/txt2img", {"prompt": "Bag", "refiner_checkpoint": "../x", "refiner_switch_at": 0.5})

    def test_lists(self):
        for path in ("samplers", "schedulers", "sd-models", "sd-vae", "loras", "upscalers", "latent-upscale-modes", "hypernetworks", "prompt-styles"):
            self.assertIsInstance(self.ask("GET", "/sdapi/v1/" + path)[2], list, path)
        for path in ("options", "embeddings", "scripts", "cmd-flags", "memory", "progress"):
            self.assertIsInstance(self.ask("GET", "/sdapi/v1/" + path)[2], dict, path)
        names = [one["name"] for one in self.ask("GET", "/sdapi/v1/samplers")[2]]
        self.assertIn("DPM++ 2M", names)
        for name in names:
            if "low" not in name:  # of rectified flows
                self.txt2img(prompt="Bag", steps=2, sampler_name=name)
        self.assertEqual(self.ask("POST", "/sdapi/v1/refresh-checkpoints")[2], None)

    def test_what_clients_of_the_controlnet_extension_ask(self):
        self.assertEqual(self.ask("GET", "/controlnet/version")[2], {"version": 2})
        for path in ("/controlnet/model_list", "/controlnet/model_list?update=true"):
            self.assertEqual(self.ask("GET", path)[2], {"model_list": []})
        modules = self.ask("GET", "/controlnet/module_list?alias_names=false")[2]
        self.assertEqual((modules["module_list"], set(modules["module_detail"])), (["none", "canny"], {"none", "canny"}))
        self.assertEqual([slider["value"] for slider in modules["module_detail"]["canny"]["sliders"]], [100, 200])
        self.assertGreater(self.ask("GET", "/controlnet/settings")[2]["control_net_unit_count"], 1)
        self.assertEqual(self.ask("GET", "/controlnet/control_types")[2]["control_types"]["All"]["default_option"], "none")
        self.assertEqual(self.ask("GET", "/sdapi/v1/scripts")[2]["txt2img"], ["refiner"])
        # One that is switched off is none; errors are in A1111's form.
        off = {"ControlNet": {"args": [{"enabled": False, "module": "none", "model": "None", "image": ""}]}}
        self.txt2img(prompt="Bag", steps=2, alwayson_scripts=off)
        status, _, answer = self.ask("POST", "/controlnet/model_list")
        self.assertEqual((status, set(answer)), (405, {"error", "detail", "body", "errors"}))

    def test_options(self):
        self.assertEqual(self.ask("GET", "/sdapi/v1/options")[2]["sd_model_checkpoint"], "fashion-s+fashion-l")
        try:
            self.assertEqual(self.ask("POST", "/sdapi/v1/options", {"sd_model_checkpoint": "fashion-b"})[0], 200)
            self.assertEqual(self.ask("GET", "/sdapi/v1/options")[2]["sd_model_checkpoint"], "fashion-b")
            self.assertEqual(self.txt2img(prompt="Bag", steps=2)[1]["sd_model_name"], "fashion-b")
        finally:
            self.ask("POST", "/sdapi/v1/options", {"sd_model_checkpoint": "fashion-s+fashion-l"})
        self.expect_refused(422, "CLIP_stop", "/sdapi/v1/options", {"CLIP_stop_at_last_layers": 2})

    def test_progress_and_interrupt(self):
        idle = self.ask("GET", "/sdapi/v1/progress?skip_current_image=false")[2]
        self.assertEqual((idle["progress"], idle["state"]["job_count"]), (0, 0))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for way in ("/sdapi/v1/interrupt", "/sdapi/v1/skip", "/sdapi/v1/interrupt?force_task_id=mine"):
                waits = pool.submit(self.txt2img, prompt="Bag", steps=1000, force_task_id="mine")
                while self.ask("GET", "/sdapi/v1/progress")[2]["state"]["sampling_step"] < 2:
                    time.sleep(0.01)
                now = self.ask("GET", "/sdapi/v1/progress")[2]
                self.assertTrue(0 < now["progress"] < 1 and now["eta_relative"] > 0, now)
                task = self.ask("POST", "/internal/progress", {"id_task": "mine"})[2]
                self.assertTrue(task["active"] and 0 < task["progress"] < 1, task)
                self.ask("POST", "/sdapi/v1/interrupt?force_task_id=others")
                self.assertFalse(waits.done())
                self.assertEqual(self.ask("POST", way)[2], {})
                self.assertEqual(waits.result()[0], [])
        self.assertTrue(self.ask("POST", "/internal/progress", {"id_task": "mine"})[2]["completed"])

    def test_a_client_that_goes_away_is_waited_for_no_more(self):
        before = self.server.metrics()['tstitch_jobs_total{status="cancelled"}']
        body = json.dumps({"prompt": "Bag", "steps": 1000}).encode()
        for wait in (0, 0.02, 0.1, 0.3):
            with socket.create_connection(("127.0.0.1", self.server.port)) as s:
                s.sendall(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                time.sleep(wait)
        begin = time.monotonic()
        while True:
            metrics = self.server.metrics()
            if metrics["tstitch_jobs_running"] == 0 and metrics["tstitch_queue_length"] == 0:
                break
            self.assertLess(time.monotonic() - begin, 10 * PATIENCE)
            time.sleep(0.02)
        self.assertGreaterEqual(metrics['tstitch_jobs_total{status="cancelled"}'], before + 2)


WORDS = os.path.join(ASSETS, "words")


@unittest.skipUnless(os.path.isdir(WORDS), "the family of words is not here")
class Words(Test):
    """One folder of models, LoRAs and a ControlNet, as people have them."""

    PAIR = {"prompt": "red apple", "steps": 2, "seed": 1}

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--models-dir", WORDS, "--lora-dir", WORDS, "--control-dir", WORDS)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.end()
        errors = cls.server.process.stderr.read()
        cls.server.close()
        assert (code, errors) == (0, ""), (code, errors)  # nobody is warned of what is plainly something else

    def test_each_list_has_its_kind(self):
        self.assertEqual([one["name"] for one in self.ask("GET", "/sdapi/v1/loras")[2]], ["words-lcm", "words-style"])
        self.assertEqual(self.ask("GET", "/controlnet/model_list")[2]["model_list"], ["words-edges"])
        self.assertEqual([one["title"] for one in self.ask("GET", "/sdapi/v1/sd-models")[2]], ["words-l", "words-s"])
        for name, part in (("nope", "expected words-lcm, words-style"), ("words-edges/diffusion_pytorch_model", "cannot be read")):
            answer = self.ask("POST", "/v1/jobs", {"prompt": "red apple", "lora": name})
            self.expect_refused(404, "lora_not_found", answer)
            self.assertIn(part, answer[2]["error"]["message"])
            self.assertNotIn(WORDS, answer[2]["error"]["message"])

    def test_a_lora_that_a_model_refuses_is_noted(self):
        pair = self.PAIR | {"model": "words-s+words-l", "ratio": 0.5}
        job = self.server.job(pair | {"lora": "words-style:0.8"})
        answers = [job["notes"], self.ask("POST", "/v1/images/generations", pair | {"lora": "words-style:0.8"})[2]["notes"]]
        _, _, text = self.ask("POST", "/v1/images/generations", pair | {"lora": "words-style:0.8", "stream": True})
        answers.append(json.loads(text.decode().strip().split("\n")[1][6:])["notes"])
        refined = self.PAIR | {"override_settings": {"sd_model_checkpoint": "words-s"}, "refiner_checkpoint": "words-l", "refiner_switch_at": 0.5}
        status, _, answer = self.ask("POST", "/sdapi/v1/txt2img", refined | {"prompt": "red apple <lora:words-style:0.8>"})
        self.assertEqual(status, 200, answer)
        info = json.loads(answer["info"])
        for notes in answers + [info["notes"]]:
            self.assertEqual([note.startswith("LoRA words-style x 0.8 on words-s is not applied: ") for note in notes], [True], notes)
        for text in (info["prompt"], info["all_prompts"][0], info["infotexts"][0].split("\n")[0]):
            self.assertEqual(text, "red apple <lora:words-style:0.8>")
        self.assertEqual(pixels(base64.b64decode(answer["images"][0])), pixels(base64.b64decode(job["images"][0]["png"])))

    # Its pictures have no paths, so whoever makes one again says where its files are.
    def test_a_picture_is_made_again_by_the_command_line(self):
        one = self.PAIR | {"model": "words-l"}
        styled = self.server.job(one | {"lora": "words-style:0.8"})["images"][0]["png"]
        steered = self.server.job(one | {"control_net": {"name": "words-edges", "image": styled}})["images"][0]["png"]
        with tempfile.TemporaryDirectory() as folder:
            def like(picture, *options):
                path = os.path.join(folder, "srv.png")
                with open(path, "wb") as file:
                    file.write(base64.b64decode(picture))
                return subprocess.run([PROGRAM, "sample", "-q", "--like", path, "-o", os.path.join(folder, "again.png"), *options], capture_output=True, text=True)

            for picture, part in ((styled, "--lora FILE:WEIGHT, or its folder with --lora-dir"), (steered, "--control-net FILE,image=PNG")):
                run = like(picture)
                self.assertEqual(run.returncode, 3, run.stderr)
                self.assertIn(part, run.stderr)
            for options in (("--lora-dir", WORDS), ("--lora", os.path.join(WORDS, "words-style.safetensors:0.8"))):
                run = like(styled, *options)
                self.assertEqual((run.returncode, run.stderr), (0, ""))
                with open(os.path.join(folder, "again.png"), "rb") as file:
                    self.assertEqual(pixels(file.read()), pixels(base64.b64decode(styled)))


class SillyTavern(Test):
    """The calls of src/endpoints/stable-diffusion.js, engine "SD WebUI", in their order."""

    # Without a password its header is that of an empty one.
    ASKS = {"headers": {"Authorization": "Basic "}}

    def test_connecting(self):
        get = lambda path: self.ask("GET", "/sdapi/v1/" + path, **self.ASKS)
        options = get("options")
        self.assertEqual((options[0], "forge_preset" in options[2]), (200, False))
        names = lambda path: [one["name"] for one in get(path)[2]]
        self.assertEqual(names("upscalers")[0], "None")
        for path in ("latent-upscale-modes", "samplers", "schedulers"):
            self.assertIsInstance(names(path), list)
        self.assertEqual([one["model_name"] for one in get("sd-vae")[2]], [])
        self.assertEqual(get("sd-modules")[0], 404)  # Forge's, asked for beside the others
        self.assertIn("fashion-b", [one["title"] for one in get("sd-models")[2]])

    def test_choosing_a_model(self):
        usual = self.ask("GET", "/sdapi/v1/options", **self.ASKS)[2]["sd_model_checkpoint"]
        for model in ("fashion-b", usual):
            self.assertEqual(self.ask("POST", "/sdapi/v1/options", {"sd_model_checkpoint": model}, **self.ASKS)[0], 200)
            progress = self.ask("GET", "/sdapi/v1/progress", **self.ASKS)[2]
            self.assertEqual((progress["progress"], progress["state"]["job_count"]), (0, 0))

    def test_a_picture(self):
        body = {"url": "http://127.0.0.1:7860", "auth": "", "prompt": "Bag", "negative_prompt": "", "sampler_name": "DDIM", "scheduler": "normal",
                "steps": 4, "cfg_scale": 7, "width": 512, "height": 512, "restore_faces": False, "enable_hr": False, "hr_upscaler": "Latent",
                "hr_scale": 1.0, "hr_additional_modules": [], "denoising_strength": 0.7, "hr_second_pass_steps": 0, "seed": 2,
                "override_settings": {"CLIP_stop_at_last_layers": 1}, "override_settings_restore_afterwards": True, "clip_skip": 1,
                "save_images": True, "send_images": True, "do_not_save_grid": False, "do_not_save_samples": False}
        status, _, answer = self.ask("POST", "/sdapi/v1/txt2img", body, **self.ASKS)
        self.assertEqual(status, 200, answer)
        self.assertEqual(base64.b64decode(answer["images"][0]),
                         sample(["--class", "Bag", "--steps", "4", "--cfg-scale", "7", "--sampler", "ddim", "--seed", "2", "-W", "28", "-H", "28"]))
        self.assertTrue(any("scheduler" in note for note in json.loads(answer["info"])["notes"]))
        self.assertEqual(self.ask("POST", "/sdapi/v1/interrupt", **self.ASKS)[0], 200)


class OpenWebUI(Test):
    """The calls of backend/open_webui/routers/images.py, engines "automatic1111" and "openai"."""

    def test_automatic1111(self):
        none = {"headers": {"authorization": ""}}
        options = self.ask("GET", "/sdapi/v1/options", **none)[2]
        for one in self.ask("GET", "/sdapi/v1/sd-models", **none)[2]:
            self.assertEqual(set(one) & {"title", "model_name"}, {"title", "model_name"})
        # All of what is set comes back with another model in it.
        usual = options["sd_model_checkpoint"]
        for model in ("fashion-b", usual):
            self.assertEqual(self.ask("POST", "/sdapi/v1/options", options | {"sd_model_checkpoint": model}, **none)[0], 200)
        body = {"prompt": "Bag", "batch_size": 2, "width": 512, "height": 512, "steps": 3, "negative_prompt": "blurry"}
        status, _, answer = self.ask("POST", "/sdapi/v1/txt2img", body | {"negative_prompt": ""}, **none)
        self.assertEqual((status, len(answer["images"])), (200, 2), answer)
        self.assertIn("all_seeds", json.loads(answer["info"]))
        self.assertEqual(self.ask("POST", "/sdapi/v1/txt2img", body, **none)[0], 422)  # of models that understand no text

    def test_openai(self):
        headers = {"headers": {"Authorization": "Bearer ", "X-OpenWebUI-User-Name": "anna"}}
        for path, body in (("/v1/images/generations", {"model": "fashion-b", "prompt": "Bag", "n": 1, "size": "512x512", "response_format": "b64_json"}),
                           ("/v1/images/generations?api-version=2024-10-21", {"model": "fashion-b", "prompt": "Bag", "n": 2})):
            status, _, answer = self.ask("POST", path, body, **headers)
            self.assertEqual((status, len(answer["data"])), (200, body["n"]), answer)
            for picture in answer["data"]:
                self.assertIsNone(picture.get("url"))
                self.assertTrue(base64.b64decode(picture["b64_json"]).startswith(b"\x89PNG"))

    # aiohttp writes forms in chunks, with the type of every part; no model is an empty one.
    def test_edits(self):
        first = base64.b64decode(self.server.job({"class": "Bag", "steps": 3})["images"][0]["png"])
        for name in (b"image", b"image[]"):
            parts = [(b'name="model"', b"text/plain; charset=utf-8", b""), (b'name="prompt"', b"text/plain; charset=utf-8", b"Shirt"),
                     (b'name="n"', b"text/plain; charset=utf-8", b"1"), (b'name="size"', b"text/plain; charset=utf-8", b"512x512"),
                     (b'name="response_format"', b"text/plain; charset=utf-8", b"b64_json"), (b'name="%s"; filename="0a.png"' % name, b"image/png", first)]
            form = b"".join(b"--limit\r\nContent-Type: %s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (kind, head, content)
                            for head, kind, content in parts) + b"--limit--\r\n"
            pieces = [form[at:at + 700] for at in range(0, len(form), 700)]
            request = (b"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \r\nConnection: close\r\n"
                       b"Content-Type: multipart/form-data; boundary=limit\r\nTransfer-Encoding: chunked\r\n\r\n"
                       + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
            answer = self.server.raw(request)
            self.assertEqual(statuses(answer), [200], answer[:500])
            self.assertEqual(len(json.loads(answer[answer.index(b"\r\n\r\n"):])["data"]), 1)


@unittest.skipUnless(shutil.which("curl"), "there is no curl")
class Docs(Test):
    def test_what_the_manual_asks_with_curl_is_answered(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "server.md")) as file:
            lines = [line.strip() for line in file if line.startswith("curl ")]
        self.assertGreater(len(lines), 5)
        for line in lines:
            if "/ID" in line:  # of a job that runs long where it is to be ended
                job = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 1000 if "DELETE" in line else 2})[2]["id"]
                line = line.replace("/ID", "/" + job)
            words = shlex.split(line.replace("127.0.0.1:7860", "127.0.0.1:%d" % self.server.port))
            run = subprocess.run(words + ["--fail-with-body"], capture_output=True, text=True, timeout=60 * PATIENCE)
            self.assertEqual((run.returncode, run.stdout == ""), (0, False), (line, run.stdout, run.stderr))


class OpenAI(Test):
    def test_generations(self):
        body = {"prompt": "Bag", "n": 2, "size": "1024x1024", "response_format": "b64_json", "model": "fashion-s+fashion-l", "user": "x", "seed": 5,
                "num_inference_steps": 4, "guidance_scale": 3, "ratio": 0.5}
        status, _, answer = self.ask("POST", "/v1/images/generations", body)
        self.assertEqual(status, 200, answer)
        self.assertEqual((len(answer["data"]), answer["size"], answer["output_format"]), (2, "28x28", "png"))
        expected = sample(["--class", "Bag", "--steps", "4", "--cfg-scale", "3", "--ratio", "0.5", "--seed", str(answer["data"][1]["seed"]), "-W", "28", "-H", "28"])
        self.assertEqual(pixels(base64.b64decode(answer["data"][1]["b64_json"])), pixels(expected))

    def test_streams(self):
        _, headers, text = self.ask("POST", "/v1/images/generations", {"prompt": "Bag", "steps": 2, "stream": True})
        self.assertEqual(headers.get_content_type(), "text/event-stream")
        name, data = text.decode().strip().split("\n")
        self.assertEqual(name, "event: image_generation.completed")
        self.assertEqual(json.loads(data[6:])["type"], "image_generation.completed")

    def form(self, **parts):
        body = b""
        for name, value in parts.items():
            file = b'; filename="x.png"' if isinstance(value, bytes) else b""
            body += b'--limit\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, value if isinstance(value, bytes) else value.encode())
        return self.ask("POST", "/v1/images/edits", body + b"--limit--\r\n", {"Content-Type": "multipart/form-data; boundary=limit"})

    def test_edits(self):
        first = base64.b64decode(self.server.job({"class": "Bag", "steps": 3})["images"][0]["png"])
        status, _, answer = self.form(image=first, prompt="Shirt", steps="4", strength="0.5", seed="1")
        self.assertEqual(status, 200, answer)
        half = transparent_png(28, 28, lambda x, y: 0 if x < 14 else 255)
        status, _, masked = self.form(image=first, mask=half, prompt="Shirt", steps="4", strength="0.5", seed="1")
        self.assertEqual(status, 200, masked)
        self.assertNotEqual(answer["data"], masked["data"])
        for parts, code in [({"prompt": "Bag"}, "invalid_value"), ({"image": b"x", "prompt": "Bag"}, "invalid_input"), ({"image": first}, "invalid_value")]:
            answer = self.form(**parts)
            self.expect_refused(400, code, answer)
            self.assertEqual(answer[2]["error"]["param"], "prompt" if "image" in parts and "prompt" not in parts else "image")
        self.assertEqual(self.ask("POST", "/v1/images/edits", {"prompt": "x"})[0], 415)

    def test_refusals(self):
        for body, param in [({}, "prompt"), ({"prompt": "Bag", "response_format": "url"}, "response_format"), ({"prompt": "Bag", "quality": "hd"}, "quality"),
                            ({"prompt": "Bag", "output_format": "webp"}, "output_format"), ({"prompt": "Bag", "size": "big"}, "size"),
                            ({"prompt": "Bag", "n": 100}, "batch_count"), ({"prompt": "Bag", "background": "transparent"}, "background"),
                            ({"prompt": "Bag", "frames": 3}, "frames"), ({"prompt": "Bag", "budget": "3s"}, "budget"),
                            ({"prompt": "Bag", "steps": [1, [2]]}, "steps")]:
            status, _, answer = self.ask("POST", "/v1/images/generations", body)
            self.assertEqual((status, answer["error"]["param"], answer["error"]["type"]), (400, param, "invalid_request_error"), answer)
        self.expect_refused(404, "model_not_found", self.ask("POST", "/v1/images/generations", {"prompt": "Bag", "model": "dall-e-2"}))

    def test_models(self):
        models = self.ask("GET", "/v1/models")[2]
        garments = [one["id"] for one in models["data"] if "fashion" in one["id"]]  # the family of words may be there, too
        self.assertEqual(garments, ["fashion-s+fashion-l", "fashion-b", "fashion-l", "fashion-s"])
        self.assertEqual(models["tstitch"]["usual"], "fashion-s+fashion-l")
        self.assertIn(models["tstitch"]["usual_of_text"], ("fashion-s+fashion-l", "words-s+words-l"))
        one = self.ask("GET", "/v1/models/fashion-s%2Bfashion-l")[2]
        self.assertEqual((one["object"], one["tstitch"]["models"], one["tstitch"]["width"]), ("model", ["fashion-s", "fashion-l"], 28))
        self.assertEqual((one["tstitch"]["classes"][5], one["tstitch"]["controls"]), ("Sandal", [[], []]))
        self.expect_refused(404, "model_not_found", self.ask("GET", "/v1/models/none"))


def transparent_png(width, height, opacity):
    """Gray with opacity(x, y)."""
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in (128, opacity(x, y))) for y in range(height))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 4, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Page(Test):
    def test_it_comes_from_here_alone(self):
        for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
            status, headers, text = self.ask("GET", path)
            self.assertEqual((status, headers.get_content_type(), headers["X-Content-Type-Options"]), (200, kind, "nosniff"))
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertNotIn("unsafe", headers["Content-Security-Policy"])
            self.assertNotIn(b"http://", text.replace(b"http://www.w3.org/2000/svg", b""))
            self.assertNotIn(b"https://", text)
            self.assertNotIn(b"innerHTML", text)


class Keys(Test):
    @classmethod
    def setUpClass(cls):
        cls.keys = tempfile.NamedTemporaryFile("w", suffix=".txt")
        cls.keys.write("first-key\n\nanna:second-key\n")
        cls.keys.flush()
        cls.server = Server("--api-key-file", cls.keys.name, "--cors-origin", "https://good.example", "--drain", "0.2")

    def test_all_but_a_few_routes_need_one(self):
        document = self.ask("GET", "/openapi.json", headers={"Authorization": "Bearer first-key"})[2]
        open_routes = []
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                status, headers, _ = self.ask(method.upper(), path)
                if operation.get("security") == []:
                    open_routes.append(path)
                    self.assertNotEqual(status, 401, path)
                else:
                    self.assertEqual(status, 401, path)
                    self.assertIn("Bearer", headers["WWW-Authenticate"])
        self.assertLessEqual(set(open_routes), {"/", "/page.css", "/page.js", "/healthz", "/readyz"})
        self.assertEqual(self.ask("GET", "/nothing")[0], 401)

    def test_which_are_let_in(self):
        basic = base64.b64encode(b"anna:second-key").decode()
        for authorization, status in [("Bearer first-key", 200), ("Basic " + basic, 200), ("Bearer second-key", 401), ("Bearer first-ke", 401),
                                      ("Bearer", 401), ("", 401), ("Basic !", 401), ("Bearer first-key2", 401)]:
            self.assertEqual(self.ask("GET", "/metrics", headers={"Authorization": authorization})[0], status, authorization)
        self.assertEqual(self.ask("GET", "/metrics?api_key=first-key")[0], 401)
        twice = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nAuthorization: Bearer first-key\r\nConnection: close\r\n\r\n"
        self.assertEqual(statuses(self.server.raw(twice)), [400])

    def test_jobs_belong_to_a_key(self):
        first, second = {"Authorization": "Bearer first-key"}, {"Authorization": "Bearer anna:second-key"}
        job = self.ask("POST", "/v1/jobs", {"class": 1, "steps": 2}, first)[2]["id"]
        self.assertEqual(self.ask("GET", "/v1/jobs/" + job, headers=first)[0], 200)
        self.assertEqual(self.ask("GET", "/v1/jobs/" + job, headers=second)[0], 404)

    def test_tasks_belong_to_a_key(self):
        first, second = {"Authorization": "Bearer first-key"}, {"Authorization": "Bearer anna:second-key"}
        ask = lambda key, steps: self.ask("POST", "/sdapi/v1/txt2img", {"prompt": "Bag", "steps": steps, "force_task_id": "mine"}, key)
        task = lambda key: self.ask("POST", "/internal/progress", {"id_task": "mine"}, key)[2]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waits = pool.submit(ask, first, 1000)
            while not task(first)["active"]:
                time.sleep(0.01)
            self.assertFalse(task(second)["active"])
            self.assertEqual(len(ask(second, 2)[2]["images"]), 1)
            self.assertEqual((task(first)["active"], task(second)["completed"]), (True, True))
            self.ask("POST", "/sdapi/v1/interrupt?force_task_id=mine", headers=first)
            self.assertEqual(waits.result()[2]["images"], [])

    def test_cors(self):
        good = {"Origin": "https://good.example"}
        status, headers, _ = self.ask("OPTIONS", "/v1/jobs", headers=good)
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, "https://good.example"))
        self.assertIn("POST", headers["Access-Control-Allow-Methods"])
        status, headers, _ = self.ask("GET", "/metrics", headers=good | {"Authorization": "Bearer first-key"})
        self.assertEqual((status, headers["Access-Control-Allow-Origin"], headers["Vary"]), (200, "https://good.example", "Origin"))
        self.assertEqual(self.ask("OPTIONS", "/v1/jobs", headers={"Origin": "https://evil.example"})[0], 403)


class Ends(unittest.TestCase):
    def expect_refused(self, code, part, *arguments):
        run = subprocess.run([PROGRAM, "serve", *arguments], capture_output=True, text=True, timeout=30 * PATIENCE)
        self.assertEqual((run.returncode, run.stdout), (code, ""), run.stderr)
        self.assertIn(part, run.stderr)

    def test_beginnings_that_are_refused(self):
        self.expect_refused(2, "is open to other machines: name who may ask with --api-key or --api-key-file", "--host", "0.0.0.0")
        self.expect_refused(2, "is no address", "--host", "localhost")
        self.expect_refused(2, "--memory is \"12\", expected a number and GiB, MiB, GB or MB: 12GiB", "--memory", "12")
        self.expect_refused(2, "--memory is 1KiB, expected 1MiB or more", "--memory", "1KiB")
        self.expect_refused(2, "--memory: the job needs", "--memory", "2MiB")
        self.expect_refused(2, "--port is 99999, expected a whole number, 0 ... 65535", "--port", "99999")
        self.expect_refused(2, "--jobs is 0, expected a whole number, 1 ... 99999", "--jobs", "0")
        self.expect_refused(2, "--queue-timeout is \"soon\"", "--queue-timeout", "soon")
        self.expect_refused(3, "nowhere.safetensors", "--lora", "nowhere.safetensors")
        self.expect_refused(2, "--control-dir cannot be read", "--control-dir", "/nowhere")
        self.expect_refused(3, "cannot be read", "--api-key-file", "/nowhere")
        self.expect_refused(3, "nowhere.safetensors", "-m", "nowhere.safetensors")
        self.expect_refused(2, "steps 'foo'", "--steps", "foo")
        self.expect_refused(2, "--models-dir cannot be read", "--models-dir", "/nowhere")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.expect_refused(4, "cannot listen on 127.0.0.1 port %d" % taken.getsockname()[1], "--port", str(taken.getsockname()[1]))

    def test_what_runs_is_finished(self):
        for sign in (signal.SIGTERM, signal.SIGINT):
            server = Server("--jobs", "1", "--drain", str(30 * PATIENCE))
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                job = server.ask("POST", "/v1/jobs", {"class": 1, "steps": 400, "ratio": 0})[2]["id"]
                waiting = server.ask("POST", "/v1/jobs", {"class": 1, "steps": 400})[2]["id"]
                runs, waits = (pool.submit(server.ask, "GET", "/v1/jobs/%s/events" % each) for each in (job, waiting))
                time.sleep(0.1)
                kept = server.connect()
                kept.request("GET", "/readyz")
                kept.getresponse().read()
                server.process.send_signal(sign)
                time.sleep(0.1)
                kept.request("POST", "/v1/jobs", json.dumps({"class": 1}), {"Content-Type": "application/json"})
                answer = kept.getresponse()
                self.assertEqual((answer.status, json.loads(answer.read())["error"]["code"]), (503, "shutting_down"))
                kept.close()
                self.assertIn(b"event: done", runs.result()[2])
                self.assertIn(b"event: failed", waits.result()[2])
                self.assertIn(b"shutting_down", waits.result()[2])
            self.assertEqual(server.process.wait(60 * PATIENCE), 0)
            server.close()

    def test_a_folder_without_models_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "broken.safetensors"), "wb") as file:
                file.write(b"x" * 100)
            server = Server("--models-dir", folder, "--control-dir", folder)
            for path, body in (("/v1/jobs", {"class": 1}), ("/v1/jobs", {"model": "broken"}), ("/v1/images/generations", {"prompt": "x"})):
                status, _, answer = server.ask("POST", path, body)
                self.assertEqual((status, answer["error"]["code"]), (404, "model_not_found"), answer)
                self.assertNotIn(folder, answer["error"]["message"])
            self.assertEqual(server.ask("GET", "/v1/models")[2]["data"], [])
            self.assertEqual(server.end(), 0)
            warnings = [json.loads(line) for line in server.process.stderr]
            self.assertEqual({one["event"] for one in warnings}, {"warning"})
            said = [one["message"] for one in warnings]
            self.assertTrue(said[0].startswith('--models-dir: "broken" is left out: '), said)
            self.assertIn("--models-dir holds no model", said)
            self.assertIn("--control-dir holds no ControlNet", said)
            server.close()

    def test_a_lora_that_cannot_be_read_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "broken.safetensors"), "wb") as file:
                file.write(b"x" * 100)
            server = Server("--lora-dir", folder + "/")
            status, _, answer = server.ask("POST", "/v1/jobs", {"class": 1, "lora": "broken"})
            self.assertEqual((status, answer["error"]["code"], answer["error"]["param"]), (404, "lora_not_found", "lora"), answer)
            self.assertNotIn(folder, answer["error"]["message"])
            self.assertEqual(server.ask("GET", "/sdapi/v1/loras")[2], [])
            self.assertEqual(server.end(), 0)
            self.assertIn('--lora-dir: \\"broken\\" is left out: ', server.process.stderr.read())
            server.close()

    def test_what_goes_or_changes_while_it_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            loras = os.path.join(folder, "loras")
            os.mkdir(loras)
            path = lambda name: os.path.join(folder, name + ".safetensors")

            def put(model, name):
                shutil.copy(os.path.join(ASSETS, model + ".safetensors"), path("new"))
                os.replace(path("new"), path(name))

            put("fashion-s", "own")
            put("fashion-l", "other")
            with open(path("loras/fox"), "wb") as file:
                file.write(b"x" * 100)
            server = Server("--models-dir", folder, "--lora-dir", loras)
            request = {"model": "own", "class": 1, "steps": 2, "seed": 1}
            self.assertEqual(server.job(request)["status"], "done")

            def expect_gone(code, asked):
                status, _, answer = asked
                self.assertEqual((status, answer["error"]["code"]), (404, code), answer)
                self.assertNotIn(folder, answer["error"]["message"])

            os.remove(path("loras/fox"))
            expect_gone("lora_not_found", server.ask("POST", "/v1/jobs", request | {"lora": "fox"}))
            for content in (None, b"x" * 100):
                os.remove(path("own"))
                if content:
                    with open(path("own"), "wb") as file:
                        file.write(content)
                for _ in range(2):  # the second time the server has looked, too
                    for more in ({}, {"model": "other+own", "ratio": 0.5}):
                        expect_gone("model_not_found", server.ask("POST", "/v1/jobs", request | more))
                    expect_gone("model_not_found", server.ask("POST", "/v1/images/generations", {"model": "own", "prompt": "Bag"}))
                    expect_gone("model_not_found", server.ask("GET", "/v1/models/own"))
                    self.assertEqual(server.job(request | {"model": "other"})["status"], "done")
                    server.ask("POST", "/sdapi/v1/refresh-checkpoints")
                # It comes back as another, which what was loaded of the first is not taken for.
                put("fashion-b", "own")
                server.ask("POST", "/sdapi/v1/refresh-checkpoints")
                picture = base64.b64decode(server.job(request)["images"][0]["png"])
                self.assertEqual(pixels(picture), pixels(sample(["-m", path("own"), "--class", "1", "--steps", "2", "--seed", "1"])))
            # Of a folder that is not there the server's owner is told, and what is known stays.
            asks = [("POST", "/sdapi/v1/refresh-checkpoints"), ("GET", "/controlnet/model_list?update=true")]
            why = "--models-dir cannot be read: No such file or directory"
            os.rename(folder, folder + "-away")
            try:
                for ask in asks:
                    status, headers, answer = server.ask(*ask)
                    self.assertEqual((status, headers["Retry-After"]), (503, "10"), answer)
                    self.assertEqual(answer, {"error": "refresh_failed", "detail": why, "body": "", "errors": why})
            finally:
                os.rename(folder + "-away", folder)
            for ask in asks:
                self.assertEqual(server.ask(*ask)[0], 200)
            self.assertEqual(server.job(request)["status"], "done")
            self.assertEqual(server.end(), 0)
            warnings = [json.loads(line) for line in server.process.stderr]
            self.assertEqual(warnings.count({"event": "warning", "message": "looking again failed: " + why}), len(asks), warnings)
            server.close()

    def test_who_waits_too_long_is_told(self):
        for seconds in ("0.0001", "0.2"):  # less than a millisecond is no endless wait
            server = Server("--jobs", "1", "--queue-timeout", seconds)
            job = server.ask("POST", "/v1/jobs", {"class": 1, "steps": 1000, "ratio": 0})[2]["id"]
            status, headers, answer = server.ask("POST", "/v1/images/generations", {"prompt": "Bag", "steps": 2})
            self.assertEqual((status, answer["error"]["code"]), (503, "queue_timeout"), answer)
            self.assertGreater(int(headers["Retry-After"]), 0)
            server.ask("DELETE", "/v1/jobs/" + job)
            self.assertEqual(server.wait(job)["status"], "cancelled")
            self.assertEqual(server.end(), 0)
            server.close()

    def test_what_takes_too_long_is_handed_back(self):
        server = Server("--drain", "0.1")
        job = server.ask("POST", "/v1/jobs", {"class": 1, "steps": 1000, "ratio": 0})[2]["id"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            events = pool.submit(server.ask, "GET", "/v1/jobs/%s/events" % job)
            time.sleep(0.1)
            begin = time.monotonic()
            self.assertEqual(server.end(), 0)
            self.assertLess(time.monotonic() - begin, 10 * PATIENCE)
            self.assertIn(b"event: failed", events.result()[2])
        server.close()


if __name__ == "__main__":
    unittest.main()
