"""What this machine is, as one line of JSON."""
import glob
import importlib.metadata
import json
import os
import platform
import subprocess


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=15).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


print(json.dumps({
    "gpu": output_of("nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm", "--format=csv,noheader"),
    "cores": len(os.sched_getaffinity(0)), "system": platform.platform(), "libc": "-".join(platform.libc_ver()),
    "packages": {name: version_of(name) for name in ("torch", "diffusers", "nvidia-cudnn-cu13", "nvidia-cublas")},
    "libraries": [path for folder in os.environ.get("TSTITCH_CUDA_LIBRARIES", "").split(":") if folder
                  for path in glob.glob(folder + "/libcud*.so*") + glob.glob(folder + "/libcublasLt.so*")][:8],
}))
