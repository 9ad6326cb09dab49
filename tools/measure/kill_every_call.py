#!/usr/bin/env python3
"""Kills a bulk run at every single system call that changes files, or fails that call as a full disk does, resumes
the run, and compares the bytes.

usage: kill_every_call.py path/to/tstitch      (needs strace; a minute)
"""
import filecmp
import pathlib
import subprocess
import sys
import tempfile

CHANGES = "openat mkdir flock write pwrite64 fsync fdatasync ftruncate rename unlink unlinkat rmdir".split()
FAULTS = [(call, "signal=KILL") for call in CHANGES]
FAULTS += [(call, "error=ENOSPC") for call in ("write", "pwrite64", "fsync", "fdatasync", "rename")]
RUN = ["sample", "-m", "fashion-s", "--steps", "1", "--class", "random", "-b", "6", "--batch-size", "2", "-t", "1", "-q"]
DISK_FULL = 4  # the exit code


def run(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def same(a, b):
    return a.exists() and filecmp.cmp(a, b, shallow=False)


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    total = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        whole, output, log = folder / "whole.npz", folder / "a.npz", folder / "log"
        run(program, *RUN, "-o", str(whole)).check_returncode()
        resume = [program, *RUN, "--resume", "-o", str(output)]
        for call, fault in FAULTS:
            faults = 0
            while True:
                strace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}", "-e"]
                first = run(*strace, f"inject={call}:{fault}:when={faults + 1}", *resume)
                injected = "(INJECTED)" in log.read_text() or "killed by SIGKILL" in log.read_text()
                log.unlink()
                where = f"{call} {faults + 1}, {fault}"
                if output.exists() and not same(output, whole):
                    sys.exit(f"{where}: a wrong archive under the final name")
                if fault.startswith("error") and first.returncode not in (0, DISK_FULL):
                    sys.exit(f"{where}: exit code {first.returncode}: {first.stderr}")
                again = run(*resume)
                if again.returncode or not same(output, whole):
                    sys.exit(f"{where}: resumed to something else: {again.stderr}")
                left = sorted(path.name for path in folder.iterdir())
                if left != ["a.npz", "whole.npz"]:
                    sys.exit(f"{where}: left behind: {left}")
                output.unlink()
                if not injected:
                    break
                faults += 1
            total += faults
            print(f"{call}, {fault}: {faults}", flush=True)
    print(f"{total} faults, every archive the same")


main()
