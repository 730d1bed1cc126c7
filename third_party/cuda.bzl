"""CUDA sources as C++ libraries."""

load("@cuda//:toolkit.bzl", "NVCC")

# Machine code for the data centre's Ampere and Hopper; what later GPUs' drivers compile at start.
_ARCHITECTURES = [
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90,code=[sm_90,compute_90]",
]

# No contraction of a*b+c into one rounding, denormals kept, divisions and roots exact: the same bits as on the host
# (docs/adr/0002-same-bits.md).
_FLAGS = [
    "-std=c++20",
    "-O3",
    "-fmad=false",
    "-ftz=false",
    "-prec-div=true",
    "-prec-sqrt=true",
    "--expt-relaxed-constexpr",
    "-Xfatbin=-compress-all",
    "-Xcompiler=-fPIC,-ffp-contract=off,-Wall,-Wextra,-Wno-missing-field-initializers",
]

def _cuda_objects_impl(ctx):
    headers = depset(transitive = [dep[CcInfo].compilation_context.headers for dep in ctx.attr.deps])
    objects = []
    for source in ctx.files.srcs:
        object = ctx.actions.declare_file(source.basename[:-len(".cc")] + ".pic.o")
        arguments = ctx.actions.args()
        arguments.add_all(_ARCHITECTURES + _FLAGS)
        arguments.add_all(["-x", "cu", "-I.", "-c", source, "-o", object])
        ctx.actions.run(
            executable = NVCC,
            arguments = [arguments],
            inputs = depset([source] + ctx.files.hdrs, transitive = [headers]),
            outputs = [object],
            mnemonic = "CudaCompile",
            use_default_shell_env = True,
        )
        objects.append(object)
    return [DefaultInfo(files = depset(objects))]

_cuda_objects = rule(
    implementation = _cuda_objects_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".cu.cc"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "deps": attr.label_list(providers = [CcInfo]),
    },
)

def cuda_library(name, srcs, cuda_hdrs, stub, hdrs, deps = [], **kwargs):
    """A library that is compiled by nvcc where there is one, and otherwise from its stub.

    Args:
      name: The library's.
      srcs: Its *.cu.cc.
      cuda_hdrs: The *.cu.h among them.
      stub: The C++ source that stands for all of `srcs` without CUDA.
      hdrs: What others include; needs no CUDA.
      deps: cc_libraries.
      **kwargs: As for cc_library.
    """
    if NVCC == None:
        native.cc_library(name = name, srcs = [stub], hdrs = hdrs, deps = deps, **kwargs)
        return
    _cuda_objects(name = name + "_objects", srcs = srcs, hdrs = cuda_hdrs + hdrs, deps = deps)
    native.cc_library(
        name = name,
        srcs = [":" + name + "_objects"],
        hdrs = hdrs,
        # The static runtime shows itself to nobody: kernels must be in the module that holds it.
        linkstatic = True,
        deps = deps + ["@cuda//:runtime"],
        **kwargs
    )
