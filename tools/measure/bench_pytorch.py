"""The time of one guided DiT-XL/2 evaluation at 256x256 in eager PyTorch bf16, and the peak it reaches on a large matmul.

    python3 tools/measure/bench_pytorch.py
    python3 tools/measure/bench_pytorch.py --with 'COMMAND'      COMMAND prints JSON with "ms", the time of one evaluation
    python3 tools/measure/bench_pytorch.py --openvino bf16,int8  OpenVINO as well (pip install openvino nncf)

Guided: one call of batch 2. With a second program they take turns (A B A B ...), since a machine's clock drifts, and
the ratio is that of the medians. Give both the same cores (`taskset -c 0,1`) and run nothing else.
"""
import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import torch

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
from dit import DiT, official

GIGA = 1e9


def describe(times):
    median = statistics.median(times)
    return {"median_ms": round(median, 2), "min_ms": round(min(times), 2),
            "mad_ms": round(statistics.median(abs(t - median) for t in times), 2), "runs": len(times)}


def milliseconds(function):
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def build(name, input_size):
    """Weights N(0, 0.02) everywhere: never zeros, which some machines multiply faster."""
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # f32 first would double the peak memory
    DiT.initialise = lambda self: None
    model = DiT(official(name, input_size)).eval()
    torch.set_default_dtype(previous)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.02)
    model.pos_embed = model.pos_embed.bfloat16()
    # The sinusoid in f32 (t up to 999 has no bf16), its result in bf16: what bf16 users of the DiT code do.
    model.t_embedder.register_buffer("frequency", model.t_embedder.frequency.float(), persistent=False)
    model.t_embedder.mlp.register_forward_pre_hook(lambda _, inputs: (inputs[0].bfloat16(),))
    return model


def gemm_flops(model, batch):
    """Multiply-adds of the token-wise layers and attention, times two; the conditioning is one row and left out."""
    c, tokens = model.config, model.side**2
    width = c["hidden_size"]
    per_block = 12 * width**2 + 2 * tokens * width
    return 2 * batch * tokens * (c["depth"] * per_block + width * model.patch**2 * (c["in_channels"] + model.out_channels))


def external(command):
    """The "ms" of the last JSON line the command prints."""
    output = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    try:
        return float(json.loads(output)["ms"])
    except json.JSONDecodeError:
        return float(json.loads(output.strip().splitlines()[-1])["ms"])


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="XL/2")
    parser.add_argument("--input-size", type=int, default=32, help="side of the latent: 32 for 256x256")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--matmul", type=int, default=4096, help="side of the square matmul probe; 0 skips it")
    parser.add_argument("--with", dest="other", metavar="COMMAND")
    parser.add_argument("--openvino", default="", help="f32,bf16,int8: what it runs in")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    result = {"torch": torch.__version__, "threads": args.threads, "model": args.model, "dtype": "bf16", "batch": 2}

    if args.matmul:
        a, b = (torch.randn(args.matmul, args.matmul).bfloat16() for _ in range(2))
        times = [milliseconds(lambda: a @ b) for _ in range(args.warm_up + args.runs)][args.warm_up:]
        result["matmul"] = describe(times) | {"gflops_at_best": round(2 * args.matmul**3 / min(times) / GIGA * 1e3, 1)}
        del a, b

    model = build(args.model, args.input_size)
    x = torch.randn(2, 4, args.input_size, args.input_size).bfloat16()
    t, y = torch.tensor([501, 501]), torch.tensor([207, 1000])
    for _ in range(args.warm_up):
        model(x, t, y)
    peers = {}
    for dtype in filter(None, args.openvino.split(",")):
        import openvino_peer
        whole = copy.deepcopy(model).float()
        whole.t_embedder.mlp._forward_pre_hooks.clear()  # which rounds to bf16
        peers[f"openvino_{dtype}"] = openvino_peer.compiled(whole, (x.float(), t, y), dtype, args.threads)
    ours, others, times = [], [], {peer: [] for peer in peers}
    for _ in range(args.runs):
        ours.append(milliseconds(lambda: model(x, t, y)))
        for peer, evaluate in peers.items():
            evaluate()  # so that its caches are its own again
            times[peer].append(milliseconds(evaluate))
        if args.other:
            others.append(external(args.other))
    result["pytorch"] = describe(ours)
    for peer in peers:
        result[peer] = describe(times[peer])
        if args.other:
            result[peer + "_over_other"] = round(statistics.median(times[peer]) / statistics.median(others), 3)
    result["pytorch"]["gflops"] = round(gemm_flops(model, 2) / statistics.median(ours) / GIGA * 1e3, 1)
    if args.other:
        result["other"] = describe(others)
        result["pytorch_over_other"] = round(statistics.median(ours) / statistics.median(others), 3)
    result["peak_rss_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGA, 2)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
