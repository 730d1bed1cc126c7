"""Fuzz targets: one source, run by libFuzzer and by a plain test."""

def fuzz_target(name, deps):
    """Makes NAME from NAME.cc, NAME_test (random inputs) and NAMEer (libFuzzer, by --config=fuzz).

    Args:
      name: Ends in "fuzz".
      deps: What NAME.cc includes.
    """
    native.cc_library(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        deps = deps + [":fuzz_target"],
    )
    native.cc_test(
        name = name + "_test",
        size = "small",
        srcs = ["random_inputs_test.cc"],
        deps = [
            ":" + name,
            ":fuzz_target",
            "//tests/util:test_main",
            "@system//:googletest",
        ],
    )
    native.cc_binary(
        name = name + "er",
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [":" + name],
    )
