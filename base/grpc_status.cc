#include "base/grpc_status.h"

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace tally {
namespace {

constexpr bool HaveEqualNumbers(absl::StatusCode absl_code, grpc::StatusCode grpc_code) {
  return static_cast<int>(absl_code) == static_cast<int>(grpc_code);
}

// The conversions below are casts; this is the proof that they are right.
static_assert(HaveEqualNumbers(absl::StatusCode::kOk, grpc::StatusCode::OK));
static_assert(HaveEqualNumbers(absl::StatusCode::kCancelled, grpc::StatusCode::CANCELLED));
static_assert(HaveEqualNumbers(absl::StatusCode::kUnknown, grpc::StatusCode::UNKNOWN));
static_assert(HaveEqualNumbers(absl::StatusCode::kInvalidArgument,
                               grpc::StatusCode::INVALID_ARGUMENT));
static_assert(HaveEqualNumbers(absl::StatusCode::kDeadlineExceeded,
                               grpc::StatusCode::DEADLINE_EXCEEDED));
static_assert(HaveEqualNumbers(absl::StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND));
static_assert(HaveEqualNumbers(absl::StatusCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS));
static_assert(HaveEqualNumbers(absl::StatusCode::kPermissionDenied,
                               grpc::StatusCode::PERMISSION_DENIED));
static_assert(HaveEqualNumbers(absl::StatusCode::kResourceExhausted,
                               grpc::StatusCode::RESOURCE_EXHAUSTED));
static_assert(HaveEqualNumbers(absl::StatusCode::kFailedPrecondition,
                               grpc::StatusCode::FAILED_PRECONDITION));
static_assert(HaveEqualNumbers(absl::StatusCode::kAborted, grpc::StatusCode::ABORTED));
static_assert(HaveEqualNumbers(absl::StatusCode::kOutOfRange, grpc::StatusCode::OUT_OF_RANGE));
static_assert(HaveEqualNumbers(absl::StatusCode::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED));
static_assert(HaveEqualNumbers(absl::StatusCode::kInternal, grpc::StatusCode::INTERNAL));
static_assert(HaveEqualNumbers(absl::StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE));
static_assert(HaveEqualNumbers(absl::StatusCode::kDataLoss, grpc::StatusCode::DATA_LOSS));
static_assert(HaveEqualNumbers(absl::StatusCode::kUnauthenticated,
                               grpc::StatusCode::UNAUTHENTICATED));

bool IsDefined(grpc::StatusCode code) {
  return code >= grpc::StatusCode::OK && code <= grpc::StatusCode::UNAUTHENTICATED;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  // code() maps whatever Abseil does not define to UNKNOWN.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  const grpc::StatusCode code = status.error_code();
  return absl::Status(
      IsDefined(code) ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
      status.error_message());
}

}  // namespace tally
