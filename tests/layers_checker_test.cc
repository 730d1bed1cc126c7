#include "tests/layers_checker.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

struct IncludeCase {
  absl::string_view path;
  absl::string_view include;
};

struct ForbiddenCase {
  absl::string_view path;
  absl::string_view include;
  absl::string_view rule;
};

constexpr absl::string_view kGrpc =
    "gRPC only in aggregator/server/, client/transport/, base/grpc_status.*, bench/, tests/ and "
    "tools/";
constexpr absl::string_view kSpdlog = "spdlog only in base/logging.*";
constexpr absl::string_view kXxHash = "xxHash only in base/digest.cc";
constexpr absl::string_view kHighway =
    "Highway only in kernels/simd/*_hwy.cc, kernels/simd/*_hwy-inl.h and tests of kernels/";
constexpr absl::string_view kCuda = "CUDA only in *.cu.cc, *.cu.h and its emulation";
constexpr absl::string_view kTorch = "libtorch only in examples/";
constexpr absl::string_view kProtobuf = "kernels/ and base/ know no protobuf";
constexpr absl::string_view kTests = "tests' libraries only in tests and benchmarks";
constexpr absl::string_view kTops = "nothing below includes bench/, examples/ or tools/";
constexpr absl::string_view kBase = "base/ includes no other folder";
constexpr absl::string_view kKernels =
    "kernels/ includes only kernels/, base/, absl/ and the standard library";
constexpr absl::string_view kCodecs = "codecs/ includes neither aggregator/ nor client/";
constexpr absl::string_view kSides = "client/ and aggregator/ never include each other";
constexpr absl::string_view kServer = "aggregator/ does not know aggregator/server/";
constexpr absl::string_view kExamples = "examples/ use client/ and base/, as users do";
constexpr absl::string_view kRoot = "an include names the path from the root of the tree";

TEST(SourceViolationsTest, NameFileLineHeaderAndRule) {
  const ForbiddenCase kCases[] = {
      {"aggregator/round_engine.cc", "<grpcpp/server.h>", kGrpc},
      {"aggregator/server_side.cc", "<grpcpp/server.h>", kGrpc},
      {"client/session.cc", "<grpc/grpc.h>", kGrpc},
      {"client/client.cc", "\"proto/tally/v1/aggregation.grpc.pb.h\"", kGrpc},
      {"base/clock.cc", "<grpcpp/support/status.h>", kGrpc},
      {"client/session.cc", "<spdlog/spdlog.h>", kSpdlog},
      {"base/clock.cc", "\"spdlog/spdlog.h\"", kSpdlog},
      {"tests/chaos_test.cc", "<fmt/format.h>", kSpdlog},
      {"base/digest.h", "<xxhash.h>", kXxHash},
      {"codecs/slices.cc", "\"xxhash.h\"", kXxHash},
      {"kernels/simd/signs.cc", "\"hwy/highway.h\"", kHighway},
      {"kernels/simd/signs.h", "\"hwy/highway.h\"", kHighway},
      {"kernels/scalar/signs_hwy.cc", "\"hwy/highway.h\"", kHighway},
      {"codecs/sign_codec_test.cc", "\"hwy/highway.h\"", kHighway},
      {"kernels/cuda/stream.h", "<cuda_runtime.h>", kCuda},
      {"kernels/cuda/stream.cc", "<cuda.h>", kCuda},
      {"tests/device_test.cc", "<cub/cub.cuh>", kCuda},
      {"client/optimizers/dense_adam.cc", "<torch/torch.h>", kTorch},
      {"tests/end_to_end_test.cc", "<ATen/ATen.h>", kTorch},
      {"base/check.cc", "<google/protobuf/message.h>", kProtobuf},
      {"base/check.cc", "\"layout.pb.h\"", kProtobuf},
      {"aggregator/roster.cc", "\"tests/util/status_matchers.h\"", kTests},
      {"kernels/backend.h", "<gtest/gtest.h>", kTests},
      {"codecs/layout.cc", "\"bench/report.h\"", kTops},
      {"client/client.h", "\"examples/dataset.h\"", kTops},
      {"base/clock.cc", "\"kernels/dtype.h\"", kBase},
      {"base/clock_test.cc", "\"codecs/layout.h\"", kBase},
      {"kernels/backend.cc", "\"codecs/layout.h\"", kKernels},
      {"kernels/backend_test.cc", "\"codecs/layout.h\"", kKernels},
      {"kernels/backend.cc", "<zlib.h>", kKernels},
      {"kernels/backend.cc", "<sys/mman.h>", kKernels},
      {"codecs/layout.cc", "\"aggregator/roster.h\"", kCodecs},
      {"codecs/layout_test.cc", "\"client/session.h\"", kCodecs},
      {"client/session.cc", "\"aggregator/roster.h\"", kSides},
      {"aggregator/roster_test.cc", "\"client/session.h\"", kSides},
      {"aggregator/roster.cc", "\"aggregator/server/metrics.h\"", kServer},
      {"examples/trainer.cc", "\"aggregator/roster.h\"", kExamples},
      {"examples/trainer.cc", "\"kernels/dtype.h\"", kExamples},
      {"base/clock.cc", "\"../base/digest.h\"", kRoot},
      {"base/clock.cc", "\"base/../base/digest.h\"", kRoot},
  };
  for (const ForbiddenCase& test_case : kCases) {
    SCOPED_TRACE(absl::StrCat(test_case.path, " ", test_case.include));
    const absl::string_view header = test_case.include.substr(1, test_case.include.size() - 2);
    EXPECT_THAT(SourceViolations(test_case.path,
                                 absl::StrCat("// A comment.\n#include ", test_case.include, "\n")),
                testing::Contains(
                    absl::StrCat(test_case.path, ":2: includes ", header, ": ", test_case.rule)));
  }
}

TEST(SourceViolationsTest, AreNoneForWhatTheRulesAllow) {
  const IncludeCase kCases[] = {
      {"aggregator/server/exchange_service.cc", "<grpcpp/grpcpp.h>"},
      {"aggregator/server/exchange_service.cc", "\"aggregator/round_engine.h\""},
      {"client/transport/stream.cc", "\"proto/tally/v1/aggregation.grpc.pb.h\""},
      {"base/grpc_status.cc", "<grpcpp/support/status.h>"},
      {"base/grpc_status_test.cc", "<grpcpp/support/status.h>"},
      {"tools/inspect.cc", "<grpcpp/grpcpp.h>"},
      {"base/logging.cc", "<spdlog/logger.h>"},
      {"base/digest.cc", "<xxhash.h>"},
      {"tests/reference/reference_random.cc", "<xxhash.h>"},
      {"kernels/simd/sum_signs_hwy.cc", "\"hwy/highway.h\""},
      {"kernels/simd/tile_hwy-inl.h", "\"hwy/highway.h\""},
      {"kernels/simd/reductions_test.cc", "\"hwy/tests/test_util-inl.h\""},
      {"kernels/cuda/signs.cu.cc", "<cuda_runtime.h>"},
      {"kernels/cuda/signs.cu.cc", "<cub/cub.cuh>"},
      {"kernels/backend.cc", "<vector>"},
      {"kernels/backend.cc", "\"absl/status/status.h\""},
      {"kernels/backend.cc", "\"base/status_macros.h\""},
      {"kernels/backend.cc", "\"kernels/dtype.h\""},
      {"kernels/backend_test.cc", "\"tests/util/status_matchers.h\""},
      {"kernels/backend_benchmark.cc", "\"benchmark/benchmark.h\""},
      {"codecs/layout.cc", "\"proto/tally/v1/layout.pb.h\""},
      {"client/client.cc", "\"client/transport/stream.h\""},
      {"examples/trainer.cc", "<torch/torch.h>"},
      {"examples/trainer.cc", "\"client/client.h\""},
      {"tests/simulation_test.cc", "\"aggregator/round_engine.h\""},
      {"tests/simulation_test.cc", "\"client/session.h\""},
      {"bench/transport_benchmark.cc", "\"bench/report.h\""},
  };
  for (const IncludeCase& test_case : kCases) {
    SCOPED_TRACE(absl::StrCat(test_case.path, " ", test_case.include));
    EXPECT_THAT(SourceViolations(test_case.path, absl::StrCat("#include ", test_case.include)),
                IsEmpty());
  }
}

TEST(SourceViolationsTest, SeeIncludesHoweverTheyAreSpaced) {
  for (absl::string_view line :
       {"#include<xxhash.h>", "  #  include  <xxhash.h>  // digest", "#include \"xxhash.h\"\r"}) {
    SCOPED_TRACE(line);
    EXPECT_THAT(SourceViolations("codecs/slices.cc", line),
                ElementsAre(absl::StrCat("codecs/slices.cc:1: includes xxhash.h: ", kXxHash)));
  }
}

TEST(SourceViolationsTest, IgnoreWhatOnlyLooksLikeAnInclude) {
  for (absl::string_view line :
       {"// #include <xxhash.h>", "\"#include <xxhash.h>\"", "#include HWY_TARGET_INCLUDE",
        "#define HWY_TARGET_INCLUDE \"xxhash.h\"", "#includes <xxhash.h>"}) {
    SCOPED_TRACE(line);
    EXPECT_THAT(SourceViolations("codecs/slices.cc", line), IsEmpty());
  }
}

TEST(SourceViolationsTest, NameEveryBrokenLine) {
  EXPECT_THAT(SourceViolations("codecs/slices.cc",
                               "#include <xxhash.h>\n\n#include \"client/session.h\"\n"),
              ElementsAre(StartsWith("codecs/slices.cc:1:"), StartsWith("codecs/slices.cc:3:")));
}

TEST(SourceViolationsTest, AcceptTheHeaderGuardOfThePath) {
  EXPECT_THAT(SourceViolations("kernels/cuda/signs.cu.h",
                               "// Signs.\n#ifndef TALLY_KERNELS_CUDA_SIGNS_CU_H_\n"
                               "#define TALLY_KERNELS_CUDA_SIGNS_CU_H_\n\n"
                               "#endif  // TALLY_KERNELS_CUDA_SIGNS_CU_H_\n"),
              IsEmpty());
}

TEST(SourceViolationsTest, RefuseEveryOtherHeaderGuard) {
  constexpr absl::string_view kTexts[] = {
      "",
      "#pragma once\n",
      "#ifndef TALLY_CLOCK_H_\n#define TALLY_CLOCK_H_\n#endif  // TALLY_CLOCK_H_\n",
      "#ifndef TALLY_BASE_CLOCK_H_\n#define TALLY_CLOCK_H_\n#endif  // TALLY_BASE_CLOCK_H_\n",
      "#ifndef TALLY_BASE_CLOCK_H_\n#define TALLY_BASE_CLOCK_H_\n#endif\n",
      ("#include <vector>\n#ifndef TALLY_BASE_CLOCK_H_\n#define TALLY_BASE_CLOCK_H_\n"
       "#endif  // TALLY_BASE_CLOCK_H_\n"),
  };
  for (absl::string_view text : kTexts) {
    SCOPED_TRACE(text);
    EXPECT_THAT(SourceViolations("base/clock.h", text),
                ElementsAre(AllOf(StartsWith("base/clock.h:1:"), HasSubstr("header guard"),
                                  EndsWith("must be TALLY_BASE_CLOCK_H_"))));
  }
}

TEST(FileNameViolationsTest, RefuseNamesThatSayNothing) {
  for (absl::string_view path :
       {"base/utils.h", "client/string_util.cc", "codecs/helpers.py", "tests/test_helper_test.cc",
        "aggregator/common.cc", "common.sh", "aggregator/round_manager.h"}) {
    SCOPED_TRACE(path);
    EXPECT_THAT(FileNameViolations(path), ElementsAre(StartsWith(absl::StrCat(path, ": named `"))));
  }
}

TEST(FileNameViolationsTest, AcceptNamesThatSaySomething) {
  for (absl::string_view path : {"tests/util/status_matchers.h", "base/utility_rate.h",
                                 "docs/commonly_asked.md", "BUILD", ".clang-format"}) {
    SCOPED_TRACE(path);
    EXPECT_THAT(FileNameViolations(path), IsEmpty());
  }
}

}  // namespace
}  // namespace tally
