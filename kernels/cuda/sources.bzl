"""The CUDA sources, which nvcc compiles, and the host's compiler for kernels/cuda/emulation/."""

CUDA_SOURCES = [
    "accumulate.cu.cc",
    "compact.cu.cc",
    "cuda_device.cu.cc",
    "cuda_queue.cu.cc",
    "dense.cu.cc",
    "elementwise.cu.cc",
    "gather.cu.cc",
    "queue_memory.cu.cc",
    "reductions.cu.cc",
    "runs.cu.cc",
    "select.cu.cc",
    "sign_rounds.cu.cc",
    "sketch_plan.cu.cc",
    "sketches.cu.cc",
    "sparse.cu.cc",
    "sum_signs.cu.cc",
    "votes.cu.cc",
]

CUDA_HEADERS = [
    "compact.cu.h",
    "cuda_queue.cu.h",
    "dense_format.cu.h",
    "launch.cu.h",
    "queue_memory.cu.h",
    "sign_tile.cu.h",
    "sketch_plan.cu.h",
    "warp.cu.h",
]

CUDA_DEPS = [
    "//base:mix64",
    "//base:mutex",
    "//base:philox",
    "//base:status_macros",
    "//kernels:backend",
    "//kernels:dtype",
    "//kernels:sign_block",
    "//kernels:sketch_hash",
    "//kernels:vote_kernels",
    "//kernels/device",
    "//kernels/device:memory_budget",
    "//kernels/device:slabs",
    "@system//:absl",
]
