#include "codecs/exchange.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "codecs/dense_codec.h"
#include "codecs/limits.h"
#include "codecs/sign_codec.h"

namespace tally {
namespace {

// Blocks may not be smaller than this; MaxPayloadBytes counts on it.
constexpr uint32_t kBlockElementsMultiple = kChunkElementsMultiple;

absl::Status EnumError(absl::string_view field, int value, absl::string_view allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat("`exchange.", field, "` = ", value, ", must be ", allowed));
}

v1::DataType EncodeDType(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return v1::DATA_TYPE_FLOAT32;
    case DType::kFloat16:
      return v1::DATA_TYPE_FLOAT16;
    case DType::kBFloat16:
      return v1::DATA_TYPE_BFLOAT16;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

absl::StatusOr<DType> DecodeDType(v1::DataType data_type) {
  switch (data_type) {
    case v1::DATA_TYPE_FLOAT32:
      return DType::kFloat32;
    case v1::DATA_TYPE_FLOAT16:
      return DType::kFloat16;
    case v1::DATA_TYPE_BFLOAT16:
      return DType::kBFloat16;
    default:
      return EnumError("dense.data_type", data_type,
                       "DATA_TYPE_FLOAT32, DATA_TYPE_FLOAT16 or DATA_TYPE_BFLOAT16");
  }
}

void EncodeGranularity(const ScaleGranularity& granularity, v1::ScaleGranularity& message) {
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      message.set_block_elements(granularity.block_elements);
      break;
    case ScaleGranularity::Unit::kTensor:
      message.mutable_per_tensor();
      break;
    case ScaleGranularity::Unit::kModel:
      message.mutable_whole_model();
      break;
  }
}

absl::StatusOr<ScaleGranularity> DecodeGranularity(const v1::ScaleGranularity& message,
                                                   uint32_t chunk_elements) {
  ScaleGranularity granularity;
  switch (message.granularity_case()) {
    case v1::ScaleGranularity::kBlockElements: {
      const uint32_t block_elements = message.block_elements();
      if (block_elements == 0 || block_elements % kBlockElementsMultiple != 0 ||
          chunk_elements % block_elements != 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("`exchange.sign.granularity.block_elements` = ", block_elements,
                         ", must be a multiple of ", kBlockElementsMultiple,
                         " that divides the layout's chunk_elements (", chunk_elements, ")"));
      }
      granularity.unit = ScaleGranularity::Unit::kBlock;
      granularity.block_elements = block_elements;
      return granularity;
    }
    case v1::ScaleGranularity::kPerTensor:
      granularity.unit = ScaleGranularity::Unit::kTensor;
      return granularity;
    case v1::ScaleGranularity::kWholeModel:
      granularity.unit = ScaleGranularity::Unit::kModel;
      return granularity;
    case v1::ScaleGranularity::GRANULARITY_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "`exchange.sign.granularity` is unset, must be block_elements, per_tensor or whole_model");
}

absl::StatusOr<SignExchange> DecodeSignExchange(const v1::SignExchange& message,
                                                const Layout& layout, size_t chunk) {
  SignExchange sign;
  switch (message.scale_rule()) {
    case v1::SCALE_RULE_ROOT_MEAN_SQUARE:
      sign.scale_rule = ScaleRule::kRootMeanSquare;
      break;
    case v1::SCALE_RULE_MEAN_MAGNITUDE:
      sign.scale_rule = ScaleRule::kMeanMagnitude;
      break;
    default:
      return EnumError("sign.scale_rule", message.scale_rule(),
                       "SCALE_RULE_ROOT_MEAN_SQUARE or SCALE_RULE_MEAN_MAGNITUDE");
  }
  switch (message.residual_operation()) {
    case v1::RESIDUAL_OPERATION_KEEP:
      sign.zero_residual = false;
      break;
    case v1::RESIDUAL_OPERATION_ZERO:
      sign.zero_residual = true;
      break;
    default:
      return EnumError("sign.residual_operation", message.residual_operation(),
                       "RESIDUAL_OPERATION_KEEP or RESIDUAL_OPERATION_ZERO");
  }
  TALLY_ASSIGN_OR_RETURN(sign.granularity,
                         DecodeGranularity(message.granularity(), layout.chunk_elements()));
  if (layout.chunks()[chunk].dense) {
    return absl::InvalidArgumentError(
        absl::StrCat("`exchange.kind` = sign, must be dense for chunk ", chunk,
                     ", which lies in the layout's dense part"));
  }
  return sign;
}

std::string GranularityName(const ScaleGranularity& granularity) {
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      return absl::StrCat("block ", granularity.block_elements);
    case ScaleGranularity::Unit::kTensor:
      return "per tensor";
    case ScaleGranularity::Unit::kModel:
      break;
  }
  return "whole model";
}

}  // namespace

v1::ExchangeDescriptor EncodeExchange(const Exchange& exchange) {
  v1::ExchangeDescriptor message;
  message.set_divisor(exchange.divisor == Divisor::kParticipants ? v1::DIVISOR_PARTICIPANTS
                                                                 : v1::DIVISOR_ROSTER);
  if (const auto* dense = absl::get_if<DenseExchange>(&exchange.kind)) {
    message.mutable_dense()->set_data_type(EncodeDType(dense->dtype));
    return message;
  }
  const SignExchange& sign = absl::get<SignExchange>(exchange.kind);
  v1::SignExchange& encoded = *message.mutable_sign();
  encoded.set_scale_rule(sign.scale_rule == ScaleRule::kRootMeanSquare
                             ? v1::SCALE_RULE_ROOT_MEAN_SQUARE
                             : v1::SCALE_RULE_MEAN_MAGNITUDE);
  EncodeGranularity(sign.granularity, *encoded.mutable_granularity());
  encoded.set_residual_operation(sign.zero_residual ? v1::RESIDUAL_OPERATION_ZERO
                                                    : v1::RESIDUAL_OPERATION_KEEP);
  return message;
}

absl::StatusOr<Exchange> DecodeExchange(const v1::ExchangeDescriptor& message, const Layout& layout,
                                        size_t chunk) {
  Exchange exchange;
  switch (message.kind_case()) {
    case v1::ExchangeDescriptor::kDense: {
      DenseExchange dense;
      TALLY_ASSIGN_OR_RETURN(dense.dtype, DecodeDType(message.dense().data_type()));
      exchange.kind = dense;
      break;
    }
    case v1::ExchangeDescriptor::kSign: {
      TALLY_ASSIGN_OR_RETURN(exchange.kind, DecodeSignExchange(message.sign(), layout, chunk));
      break;
    }
    case v1::ExchangeDescriptor::KIND_NOT_SET:
      return absl::UnimplementedError(
          "`exchange.kind` is unset or unknown to this build, must be dense or sign");
  }
  switch (message.divisor()) {
    case v1::DIVISOR_PARTICIPANTS:
      exchange.divisor = Divisor::kParticipants;
      break;
    case v1::DIVISOR_ROSTER:
      exchange.divisor = Divisor::kRoster;
      break;
    default:
      return EnumError("divisor", message.divisor(), "DIVISOR_PARTICIPANTS or DIVISOR_ROSTER");
  }
  return exchange;
}

std::string ExchangeName(const Exchange& exchange) {
  const absl::string_view divisor = exchange.divisor == Divisor::kRoster ? ", over roster" : "";
  if (const auto* dense = absl::get_if<DenseExchange>(&exchange.kind)) {
    return absl::StrCat("dense(", DTypeName(dense->dtype), divisor, ")");
  }
  const SignExchange& sign = absl::get<SignExchange>(exchange.kind);
  return absl::StrCat("sign(",
                      sign.scale_rule == ScaleRule::kRootMeanSquare ? "RMS" : "mean magnitude",
                      ", ", GranularityName(sign.granularity),
                      sign.zero_residual ? ", residual zeroed" : "", divisor, ")");
}

uint64_t PayloadBytes(const Exchange& exchange, const Layout& layout, size_t chunk) {
  const size_t num_elements = layout.chunks()[chunk].num_elements;
  if (const auto* dense = absl::get_if<DenseExchange>(&exchange.kind)) {
    return DensePayloadBytes(dense->dtype, num_elements);
  }
  const SignExchange& sign = absl::get<SignExchange>(exchange.kind);
  return SignPayloadBytes(num_elements, layout.NumSegments(chunk, sign.granularity));
}

uint64_t MaxPayloadBytes(const Layout& layout, size_t chunk) {
  const size_t num_elements = layout.chunks()[chunk].num_elements;
  const uint64_t dense_bytes = DensePayloadBytes(DType::kFloat32, num_elements);
  if (layout.chunks()[chunk].dense) return dense_bytes;
  // Tensors can be smaller than the smallest block; the whole model is never more than one segment.
  const size_t num_segments =
      std::max(layout.NumSegments(chunk, {.unit = ScaleGranularity::Unit::kBlock,
                                          .block_elements = kBlockElementsMultiple}),
               layout.NumSegments(chunk, {.unit = ScaleGranularity::Unit::kTensor}));
  return std::max<uint64_t>(dense_bytes, SignPayloadBytes(num_elements, num_segments));
}

absl::Status ValidatePayload(const Exchange& exchange, const Layout& layout, size_t chunk,
                             absl::Span<const uint8_t> payload, const Backend& backend) {
  const size_t num_elements = layout.chunks()[chunk].num_elements;
  if (const auto* dense = absl::get_if<DenseExchange>(&exchange.kind)) {
    return ValidateDense(dense->dtype, payload, num_elements, backend);
  }
  const SignExchange& sign = absl::get<SignExchange>(exchange.kind);
  return DecodeSign(payload, num_elements, layout.NumSegments(chunk, sign.granularity)).status();
}

}  // namespace tally
