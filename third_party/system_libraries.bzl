"""Finds the distribution's C++ libraries.

Their headers lie in the compiler's own search path, so a target is a list of linker options, asked of pkg-config
where the library describes itself there. One target per library: whoever needs a library names it.

libtorch is the exception: a part of its headers lies in a folder of its own, and it may be missing. Targets that need
it are then incompatible: a build of everything passes over them.
"""

_TORCH_HEADERS = "/usr/include/torch/csrc/api/include"

_TORCH = """cc_library(
    name = "torch",
    hdrs = glob(["torch_headers/**/*.h"]),
    includes = ["torch_headers"],
    linkopts = ["-ltorch", "-ltorch_cpu", "-lc10"],
)"""

_NO_TORCH = """cc_library(
    name = "torch",
    target_compatible_with = ["@platforms//:incompatible"],
)"""

# Target name -> (pkg-config modules, further linker options).
_LIBRARIES = {
    "absl": ([
        "absl_bind_front",
        "absl_cleanup",
        "absl_flags",
        "absl_flags_parse",
        "absl_flags_usage",
        "absl_flat_hash_map",
        "absl_flat_hash_set",
        "absl_hash",
        "absl_span",
        "absl_status",
        "absl_statusor",
        "absl_str_format",
        "absl_strings",
        "absl_synchronization",
        "absl_time",
    ], []),
    "benchmark": ([], ["-lbenchmark", "-lpthread"]),
    "googletest": ([], ["-lgmock", "-lgtest", "-lpthread"]),
    "grpc": (["grpc++", "protobuf"], ["-lgrpc++_reflection"]),
    "highway": (["libhwy"], []),
    "protobuf": (["protobuf"], []),
    "spdlog": (["spdlog"], []),
    "xxhash": (["libxxhash"], []),
}

def _system_libraries_impl(repository_ctx):
    build = ["package(default_visibility = [\"//visibility:public\"])"]
    for name, (modules, options) in _LIBRARIES.items():
        flags = []
        if modules:
            result = repository_ctx.execute(["pkg-config", "--cflags", "--libs"] + modules)
            if result.return_code != 0:
                fail("library `%s` is missing (tools/install_packages.sh installs it): %s" % (name, result.stderr))
            flags = [flag for flag in result.stdout.strip().split(" ") if flag]
        build.append("cc_library(name = %r, defines = %r, linkopts = %r)" % (
            name,
            [flag[2:] for flag in flags if flag.startswith("-D")],
            [flag for flag in flags if flag.startswith("-l") or flag.startswith("-L")] + options,
        ))
    if repository_ctx.path(_TORCH_HEADERS).exists:
        repository_ctx.symlink(_TORCH_HEADERS, "torch_headers")
        build.append(_TORCH)
    else:
        build.append(_NO_TORCH)
    repository_ctx.file("BUILD", "\n".join(build) + "\n")

system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    doc = "A repository with one target per system library.",
    configure = True,
    local = True,
)
