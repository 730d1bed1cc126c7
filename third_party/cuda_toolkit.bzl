"""Finds the CUDA toolkit, which may be missing.

Looked for, in this order: $CUDA_HOME/bin/nvcc, nvcc on the PATH, /usr/local/cuda/bin/nvcc. Without it, or with
TALLY_CUDA=0 in the environment, @cuda//:toolkit.bzl has NVCC = None, and kernels/cuda/ builds its stub.
"""

_DEFAULT_HOME = "/usr/local/cuda"
_STATIC_RUNTIME = ["lib64/libcudart_static.a", "lib/libcudart_static.a", "targets/x86_64-linux/lib/libcudart_static.a"]

_BUILD = """package(default_visibility = ["//visibility:public"])

cc_import(
    name = "static_runtime_archive",
    static_library = "libcudart_static.a",
)

cc_library(
    name = "runtime",
    linkopts = ["-ldl", "-lpthread", "-lrt"],
    deps = [":static_runtime_archive"],
)
"""

def _find_nvcc(repository_ctx):
    if repository_ctx.os.environ.get("TALLY_CUDA") == "0":
        return None
    home = repository_ctx.os.environ.get("CUDA_HOME")
    if home:
        nvcc = repository_ctx.path(home + "/bin/nvcc")
        if not nvcc.exists:
            fail("`CUDA_HOME` = %s, must be a CUDA toolkit: %s does not exist" % (home, nvcc))
        return nvcc
    nvcc = repository_ctx.which("nvcc")
    if nvcc:
        return nvcc
    nvcc = repository_ctx.path(_DEFAULT_HOME + "/bin/nvcc")
    return nvcc if nvcc.exists else None

def _cuda_toolkit_impl(repository_ctx):
    nvcc = _find_nvcc(repository_ctx)
    if nvcc == None:
        repository_ctx.file("BUILD", "")
        repository_ctx.file("toolkit.bzl", "NVCC = None\n")
        return
    home = str(nvcc.dirname.dirname)
    candidates = [repository_ctx.path(home + "/" + path) for path in _STATIC_RUNTIME]
    archives = [path for path in candidates if path.exists]
    if not archives:
        fail("%s is there, but none of %s below %s (TALLY_CUDA=0 builds without CUDA)" % (nvcc, _STATIC_RUNTIME, home))
    repository_ctx.symlink(archives[0], "libcudart_static.a")
    repository_ctx.file("BUILD", _BUILD)
    repository_ctx.file("toolkit.bzl", "NVCC = %r\n" % str(nvcc))

cuda_toolkit = repository_rule(
    implementation = _cuda_toolkit_impl,
    doc = "A repository with the CUDA toolkit's compiler and runtime, if there is one.",
    configure = True,
    environ = ["CUDA_HOME", "PATH", "TALLY_CUDA"],
    local = True,
)
