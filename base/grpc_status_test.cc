#include "base/grpc_status.h"

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

struct CodePair {
  absl::StatusCode absl_code;
  grpc::StatusCode grpc_code;
};

constexpr CodePair kErrors[] = {
    {absl::StatusCode::kCancelled, grpc::StatusCode::CANCELLED},
    {absl::StatusCode::kUnknown, grpc::StatusCode::UNKNOWN},
    {absl::StatusCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
    {absl::StatusCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED},
    {absl::StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND},
    {absl::StatusCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
    {absl::StatusCode::kPermissionDenied, grpc::StatusCode::PERMISSION_DENIED},
    {absl::StatusCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
    {absl::StatusCode::kFailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION},
    {absl::StatusCode::kAborted, grpc::StatusCode::ABORTED},
    {absl::StatusCode::kOutOfRange, grpc::StatusCode::OUT_OF_RANGE},
    {absl::StatusCode::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED},
    {absl::StatusCode::kInternal, grpc::StatusCode::INTERNAL},
    {absl::StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
    {absl::StatusCode::kDataLoss, grpc::StatusCode::DATA_LOSS},
    {absl::StatusCode::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED},
};

TEST(GrpcStatusTest, OkIsOkBothWays) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_THAT(FromGrpcStatus(grpc::Status::OK), IsOk());
}

TEST(GrpcStatusTest, DropsTheMessageOfOk) {
  EXPECT_THAT(FromGrpcStatus(grpc::Status(grpc::StatusCode::OK, "fine")),
              StatusIs(absl::StatusCode::kOk, ""));
}

TEST(GrpcStatusTest, KeepsCodeAndMessageBothWays) {
  const std::string message = "`round` = 7, must be 8 (\xc3\xa9, \"quoted\")";
  for (const CodePair& pair : kErrors) {
    SCOPED_TRACE(absl::StatusCodeToString(pair.absl_code));
    const grpc::Status converted = ToGrpcStatus(absl::Status(pair.absl_code, message));
    EXPECT_EQ(converted.error_code(), pair.grpc_code);
    EXPECT_EQ(converted.error_message(), message);
    EXPECT_THAT(FromGrpcStatus(grpc::Status(pair.grpc_code, message)),
                StatusIs(pair.absl_code, message));
  }
}

TEST(GrpcStatusTest, TurnsUndefinedCodesIntoUnknown) {
  for (int code : {-1, 17, 31}) {
    SCOPED_TRACE(code);
    EXPECT_THAT(FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(code), "odd")),
                StatusIs(absl::StatusCode::kUnknown, "odd"));
    EXPECT_EQ(ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "odd")).error_code(),
              grpc::StatusCode::UNKNOWN);
  }
}

}  // namespace
}  // namespace tally
