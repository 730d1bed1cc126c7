#!/usr/bin/env python3
"""What PyTorch's top-k and CUB's radix sort (behind torch.sort) take for the choice that gpu_benchmark times.

  gpu_benchmark --estimates=/tmp/estimates.f32 && topk_peers.py /tmp/estimates.f32
"""

import sys

import numpy
import torch

CHOSEN = 100_000
RUNS = 7


def median_milliseconds(operation):
    times = []
    for run in range(RUNS + 1):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        operation()
        end.record()
        torch.cuda.synchronize()
        if run > 0:  # the first one warms up
            times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def main():
    estimates = torch.from_numpy(numpy.fromfile(sys.argv[1], dtype=numpy.float32)).cuda()
    print(f"{estimates.numel()} estimates, {CHOSEN} chosen, PyTorch {torch.__version__}")
    for name, operation in {
        "abs, topk": lambda: torch.topk(estimates.abs(), CHOSEN, sorted=False),
        "abs, topk, indices sorted": lambda: torch.topk(estimates.abs(), CHOSEN, sorted=False).indices.sort(),
        "abs, sort (CUB's radix sort)": lambda: torch.sort(estimates.abs(), descending=True),
    }.items():
        print(f"{name:32} {median_milliseconds(operation):10.3f} ms")


if __name__ == "__main__":
    main()
