"""One C++ library per .proto file, made by the distribution's protoc."""

def tally_proto_library(name, deps = [], grpc = False):
    """Generates NAME.pb.{h,cc} from NAME.proto as target NAME and, with grpc, NAME.grpc.pb.{h,cc} as NAME_grpc.

    Args:
      name: The file's name without its ending.
      deps: tally_proto_library targets of the files that it imports.
      grpc: Whether the file defines a service.
    """
    sources = [name + ".proto"]
    imported = [dep + "_sources" for dep in deps]
    native.filegroup(name = name + "_sources", srcs = sources + imported)
    native.genrule(
        name = name + "_generate",
        srcs = [":" + name + "_sources"],
        outs = [name + ".pb.h", name + ".pb.cc"],
        cmd = "protoc --proto_path=. --cpp_out=$(GENDIR) " + native.package_name() + "/" + name + ".proto",
    )
    native.cc_library(
        name = name,
        srcs = [name + ".pb.cc"],
        hdrs = [name + ".pb.h"],
        deps = deps + ["@system//:protobuf"],
    )
    if grpc:
        native.genrule(
            name = name + "_grpc_generate",
            srcs = [":" + name + "_sources"],
            outs = [name + ".grpc.pb.h", name + ".grpc.pb.cc"],
            cmd = "protoc --proto_path=. --grpc_out=$(GENDIR)" +
                  " --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) " +
                  native.package_name() + "/" + name + ".proto",
        )
        native.cc_library(
            name = name + "_grpc",
            srcs = [name + ".grpc.pb.cc"],
            hdrs = [name + ".grpc.pb.h"],
            deps = [name, "@system//:grpc"],
        )
