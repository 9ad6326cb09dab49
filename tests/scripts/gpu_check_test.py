"""scripts/gpu_check with programs that pass, fail, crash and hang."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

GPU_CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "gpu_check")

# As a test program of GoogleTest prints and ends; the tests are named for what becomes of them.
PROGRAM = """#!/usr/bin/env python3
import os, sys, time
wanted, _, unwanted = sys.argv[1].removeprefix("--gtest_filter=").partition("-")
for test in wanted.split(":"):
    if test in unwanted.split(":"):
        continue
    print(f"[ RUN      ] {test}", flush=True)
    if "hangs" in test:
        time.sleep(60)
    if "crashes" in test:
        os.abort()
    if "skips" in test:
        print(f"[  SKIPPED ] {test} (0 ms)", flush=True)
        continue
    if "fails" in test and not ("sometimes" in test and {"CUDA_LAUNCH_BLOCKING", "TSTITCH_CUDA_GRAPHS"} <= os.environ.keys()):
        print("expected 1", flush=True)
        print(f"[  FAILED  ] {test} (3 ms)", flush=True)
        code = 1
    else:
        print(f"[       OK ] {test} (2 ms)", flush=True)
sys.exit("fails" in wanted)
"""


def group(name, tests, seconds=20, **more):
    return {"name": name, "seconds": seconds, "command": ["fake_test", "--gtest_filter=" + ":".join(tests)], **more}


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.write("build/tests/fake/fake_test", PROGRAM)
        os.chmod(self.path("build/tests/fake/fake_test"), 0o755)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)

    def start(self, checks, *arguments):
        self.write("checks.json", json.dumps({"values": {"host": {"device": "cpu"}}, "checks": checks}))
        return subprocess.Popen([sys.executable, GPU_CHECK, "--host", "--build", self.path("build"), "--checks",
                                 self.path("checks.json"), "--output", self.path("out"), *arguments], stdout=subprocess.DEVNULL)

    def lines(self):
        if not os.path.exists(self.path("out/lines.jsonl")):
            return ""
        with open(self.path("out/lines.jsonl")) as file:
            return file.read()

    def outcome(self):
        with open(self.path("out/gpu_check.json")) as file:
            data = json.load(file)
        with open(self.path("out/gpu_check.md")) as file:
            return data, {g["name"]: g for g in data["groups"]}, file.read()

    def test_a_failure_and_a_hang_cost_one_test_each(self):
        code = self.start([group("good", ["A.passes", "A.passes_too"]),
                           group("idle", ["E.skips"]),
                           group("bad", ["B.passes", "B.fails", "B.sometimes_fails", "B.passes_after"]),
                           group("slow", ["C.passes", "C.hangs", "C.passes_after"], seconds=2),
                           group("broken", ["D.crashes", "D.passes"])]).wait(60)
        data, groups, page = self.outcome()
        statuses = {name: {t["test"]: t["status"] for t in g["tests"]} for name, g in groups.items()}
        self.assertEqual(code, 1)
        self.assertEqual((data["whole"], data["failed"]), (True, ["bad", "slow", "broken"]))
        self.assertEqual(statuses["good"], {"A.passes": "passed", "A.passes_too": "passed"})
        self.assertEqual(statuses["bad"], {"B.passes": "passed", "B.fails": "failed", "B.sometimes_fails": "failed",
                                           "B.passes_after": "passed"})
        self.assertEqual(statuses["slow"], {"C.passes": "passed", "C.hangs": "hung", "C.passes_after": "passed"})
        self.assertEqual(statuses["broken"], {"D.crashes": "crashed", "D.passes": "passed"})
        again = {t["test"]: t.get("again") for g in groups.values() for t in g["tests"]}
        self.assertEqual({test: status for test, status in again.items() if status},
                         {"B.fails": "failed", "B.sometimes_fails": "passed", "D.crashes": "crashed"})
        self.assertEqual(groups["slow"]["why"], "time limit")
        for text in ("| slow | failed | 2 passed, 1 hung |", "### bad: B.fails", "expected 1", "| idle | skipped | 1 skipped |", "3 of 5 groups failed"):
            self.assertIn(text, page)

    def test_results_are_a_table_of_speeds(self):
        line = json.dumps({"who": "they", "ms": 12.5, "first_s": 3})
        literal = line.replace("{", "{{").replace("}", "}}")
        code = self.start([{"name": "speed", "seconds": 9, "case": "on {device}", "command": ["echo", literal]},
                           {"name": "packages", "seconds": 9, "modules": ["no_such_module"], "command": ["echo"]},
                           {"name": "later", "part": 2, "seconds": 9, "command": ["false"]},
                           {"name": "nowhere", "seconds": 9, "command": ["no_such_program"]}]).wait(60)
        _, groups, page = self.outcome()
        self.assertEqual(code, 0)
        self.assertEqual(list(groups), ["speed", "packages", "nowhere"])
        self.assertIn("| on cpu | they | 12.5 | first_s 3 |", page)
        self.assertEqual(groups["packages"]["why"], "no no_such_module")
        self.assertEqual(groups["nowhere"]["why"], "no no_such_program")

    def test_a_command_without_tests_may_fail_or_hang(self):
        self.start([{"name": "fails", "seconds": 9, "command": ["false"]},
                    {"name": "hangs", "seconds": 1, "command": ["sleep", "60"]}]).wait(60)
        _, groups, _ = self.outcome()
        self.assertEqual([groups["fails"]["tests"][0]["status"], groups["fails"]["tests"][0]["again"]], ["failed", "failed"])
        self.assertEqual([t["status"] for t in groups["hangs"]["tests"]], ["hung"])

    def test_a_program_that_runs_no_test_fails(self):
        self.write("build/tests/fake/fake_test", "#!/bin/sh\necho no device: none\n")
        self.assertEqual(self.start([group("all", ["A.passes"])]).wait(60), 1)
        _, groups, page = self.outcome()
        self.assertEqual((groups["all"]["status"], groups["all"]["why"]), ("failed", "no test ran"))
        self.assertIn("no device: none", page)

    def test_what_there_is_no_time_for_is_left_out(self):
        begin = time.monotonic()
        self.start([group("slow", ["A.hangs"], seconds=50), group("late", ["B.passes"])], "--seconds", "3").wait(60)
        _, groups, _ = self.outcome()
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(groups["slow"]["tests"][0]["status"], "hung")
        self.assertEqual((groups["late"]["status"], groups["late"]["why"]), ("left out", "no time left"))

    def test_a_kill_leaves_a_page(self):
        process = self.start([group("first", ["A.passes", "A.hangs"], seconds=50), group("second", ["B.passes"])])
        while "A.passes" not in self.lines():
            self.assertIsNone(process.poll())
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 1)
        data, groups, page = self.outcome()
        self.assertFalse(data["whole"])
        self.assertEqual((groups["first"]["status"], groups["first"]["tests"][0]["status"]), ("interrupted", "passed"))
        self.assertIn("did not come to its end", page)


if __name__ == "__main__":
    unittest.main()
