#include "codecs/exchange.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "codecs/limits.h"
#include "kernels/sketch_hash.h"
#include "kernels/sketch_kernels.h"

namespace tally {
namespace {

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

absl::StatusOr<DType> DecodeDType(absl::string_view kind, v1::DataType data_type) {
  switch (data_type) {
    case v1::DATA_TYPE_FLOAT32:
      return DType::kFloat32;
    case v1::DATA_TYPE_FLOAT16:
      return DType::kFloat16;
    case v1::DATA_TYPE_BFLOAT16:
      return DType::kBFloat16;
    default:
      return EnumError(absl::StrCat(kind, ".data_type"), data_type,
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

absl::StatusOr<ScaleGranularity> DecodeGranularity(absl::string_view kind,
                                                   const v1::ScaleGranularity& message,
                                                   uint32_t chunk_elements) {
  ScaleGranularity granularity;
  switch (message.granularity_case()) {
    case v1::ScaleGranularity::kBlockElements: {
      const uint32_t block_elements = message.block_elements();
      if (block_elements == 0 || block_elements % kScaleBlockMultiple != 0 ||
          chunk_elements % block_elements != 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("`exchange.", kind, ".granularity.block_elements` = ", block_elements,
                         ", must be a multiple of ", kScaleBlockMultiple,
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
      absl::StrCat("`exchange.", kind,
                   ".granularity` is unset, must be block_elements, per_tensor or whole_model"));
}

absl::StatusOr<SignExchange> DecodeSignExchange(const v1::SignExchange& message,
                                                const Layout& layout) {
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
                         DecodeGranularity("sign", message.granularity(), layout.chunk_elements()));
  return sign;
}

absl::StatusOr<VoteExchange> DecodeVoteExchange(const v1::VoteExchange& message) {
  switch (message.result()) {
    case v1::VOTE_RESULT_DRAWN:
      return VoteExchange{VoteResult::kDrawn};
    case v1::VOTE_RESULT_MAJORITY:
      return VoteExchange{VoteResult::kMajority};
    case v1::VOTE_RESULT_COUNTS:
      return VoteExchange{VoteResult::kCounts};
    default:
      return EnumError("vote.result", message.result(),
                       "VOTE_RESULT_DRAWN, VOTE_RESULT_MAJORITY or VOTE_RESULT_COUNTS");
  }
}

// `count` is to be from 1 to the chunk's elements.
absl::Status CheckCount(absl::string_view field, uint32_t count, const Layout::Chunk& chunk) {
  if (count >= 1 && count <= chunk.num_elements) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`exchange.", field, "` = ", count,
                                                 ", must be from 1 to ", chunk.num_elements,
                                                 ", the chunk's elements"));
}

absl::StatusOr<SketchExchange> DecodeSketchExchange(const v1::SketchExchange& message,
                                                    const Layout::Chunk& chunk) {
  if (message.hash_version() != kSketchHashVersion) {
    return absl::UnimplementedError(
        absl::StrCat("`exchange.sketch.hash_version` = ", message.hash_version(), ", must be ",
                     kSketchHashVersion));
  }
  if (message.rows() % 2 == 0 || message.rows() > kMaxSketchRows) {
    return absl::InvalidArgumentError(absl::StrCat("`exchange.sketch.rows` = ", message.rows(),
                                                   ", must be odd and at most ", kMaxSketchRows));
  }
  const uint64_t max_cells = std::max<uint64_t>(chunk.num_elements, kMinSketchCells);
  if (message.columns() == 0 || message.columns() % kSketchRunElements != 0 ||
      uint64_t{message.rows()} * message.columns() > max_cells) {
    return absl::InvalidArgumentError(
        absl::StrCat("`exchange.sketch.columns` = ", message.columns(), ", must be a multiple of ",
                     kSketchRunElements, " and make at most ", max_cells, " cells with ",
                     message.rows(), " rows"));
  }
  TALLY_RETURN_IF_ERROR(CheckCount("sketch.num_candidates", message.num_candidates(), chunk));
  SketchExchange sketch = {.hash_seed = message.hash_seed(),
                           .rows = message.rows(),
                           .columns = message.columns(),
                           .num_candidates = message.num_candidates(),
                           .with_estimates = message.with_estimates()};
  TALLY_ASSIGN_OR_RETURN(sketch.dtype, DecodeDType("sketch", message.data_type()));
  return sketch;
}

absl::StatusOr<ValuesExchange> DecodeValuesExchange(const v1::ValuesExchange& message,
                                                    const Layout::Chunk& chunk) {
  TALLY_RETURN_IF_ERROR(CheckCount("values.num_values", message.num_values(), chunk));
  ValuesExchange values = {.num_values = message.num_values(),
                           .candidates_digest = message.candidates_digest()};
  TALLY_ASSIGN_OR_RETURN(values.dtype, DecodeDType("values", message.data_type()));
  return values;
}

// `message` has a kind.
absl::Status CheckKindFits(const v1::ExchangeDescriptor& message, const Layout& layout,
                           size_t chunk) {
  if (message.has_dense()) return absl::OkStatus();
  const auto error = [&](absl::string_view kinds, absl::string_view which) {
    return absl::InvalidArgumentError(
        absl::StrCat("`exchange.kind` = ",
                     message.GetDescriptor()->FindFieldByNumber(message.kind_case())->name(),
                     ", must be ", kinds, " for chunk ", chunk, ", which ", which));
  };
  const Layout::Chunk& place = layout.chunks()[chunk];
  if (place.dense) return error("dense", "lies in the layout's dense part");
  const bool sketches = message.has_sketch() || message.has_values();
  if (place.dealt && !sketches) return error("dense, sketch or values", "is a dealt group");
  if (!place.dealt && sketches) {
    return error("dense, sign, sign_relay, vote or sparse", "is not a dealt group");
  }
  return absl::OkStatus();
}

// Writes the kind of an exchange into its message.
struct KindEncoder {
  v1::ExchangeDescriptor& message;

  void operator()(const DenseExchange& dense) const {
    message.mutable_dense()->set_data_type(EncodeDType(dense.dtype));
  }
  void operator()(const SignExchange& sign) const {
    v1::SignExchange& encoded = *message.mutable_sign();
    encoded.set_scale_rule(sign.scale_rule == ScaleRule::kRootMeanSquare
                               ? v1::SCALE_RULE_ROOT_MEAN_SQUARE
                               : v1::SCALE_RULE_MEAN_MAGNITUDE);
    EncodeGranularity(sign.granularity, *encoded.mutable_granularity());
    encoded.set_residual_operation(sign.zero_residual ? v1::RESIDUAL_OPERATION_ZERO
                                                      : v1::RESIDUAL_OPERATION_KEEP);
  }
  void operator()(const SignRelayExchange& relay) const {
    EncodeGranularity(relay.granularity, *message.mutable_sign_relay()->mutable_granularity());
  }
  void operator()(const VoteExchange& vote) const {
    message.mutable_vote()->set_result(vote.result == VoteResult::kDrawn ? v1::VOTE_RESULT_DRAWN
                                       : vote.result == VoteResult::kMajority
                                           ? v1::VOTE_RESULT_MAJORITY
                                           : v1::VOTE_RESULT_COUNTS);
  }
  void operator()(const SketchExchange& sketch) const {
    v1::SketchExchange& encoded = *message.mutable_sketch();
    encoded.set_hash_version(kSketchHashVersion);
    encoded.set_hash_seed(sketch.hash_seed);
    encoded.set_rows(sketch.rows);
    encoded.set_columns(sketch.columns);
    encoded.set_data_type(EncodeDType(sketch.dtype));
    encoded.set_num_candidates(sketch.num_candidates);
    encoded.set_with_estimates(sketch.with_estimates);
  }
  void operator()(const ValuesExchange& values) const {
    v1::ValuesExchange& encoded = *message.mutable_values();
    encoded.set_num_values(values.num_values);
    encoded.set_candidates_digest(values.candidates_digest);
    encoded.set_data_type(EncodeDType(values.dtype));
  }
  void operator()(const SparseExchange& sparse) const {
    message.mutable_sparse()->set_max_values(sparse.max_values);
  }
};

}  // namespace

bool IsSecondHalf(const Exchange& exchange) {
  return absl::holds_alternative<ValuesExchange>(exchange.kind);
}

bool HasSecondHalf(const Exchange& exchange) {
  const auto* sketch = absl::get_if<SketchExchange>(&exchange.kind);
  return sketch != nullptr && !sketch->with_estimates;
}

v1::ExchangeDescriptor EncodeExchange(const Exchange& exchange) {
  v1::ExchangeDescriptor message;
  message.set_divisor(exchange.divisor == Divisor::kParticipants ? v1::DIVISOR_PARTICIPANTS
                                                                 : v1::DIVISOR_ROSTER);
  absl::visit(KindEncoder{message}, exchange.kind);
  return message;
}

absl::StatusOr<Exchange> DecodeExchange(const v1::ExchangeDescriptor& message, const Layout& layout,
                                        size_t chunk) {
  if (message.kind_case() == v1::ExchangeDescriptor::KIND_NOT_SET) {
    return absl::UnimplementedError(
        "`exchange.kind` is unset or unknown to this build, must be dense, sign, sign_relay, vote, "
        "sketch, values or sparse");
  }
  TALLY_RETURN_IF_ERROR(CheckKindFits(message, layout, chunk));
  Exchange exchange;
  const Layout::Chunk& place = layout.chunks()[chunk];
  switch (message.kind_case()) {
    case v1::ExchangeDescriptor::kDense: {
      DenseExchange dense;
      TALLY_ASSIGN_OR_RETURN(dense.dtype, DecodeDType("dense", message.dense().data_type()));
      exchange.kind = dense;
      break;
    }
    case v1::ExchangeDescriptor::kSign: {
      TALLY_ASSIGN_OR_RETURN(exchange.kind, DecodeSignExchange(message.sign(), layout));
      break;
    }
    case v1::ExchangeDescriptor::kSignRelay: {
      SignRelayExchange relay;
      TALLY_ASSIGN_OR_RETURN(relay.granularity,
                             DecodeGranularity("sign_relay", message.sign_relay().granularity(),
                                               layout.chunk_elements()));
      exchange.kind = relay;
      break;
    }
    case v1::ExchangeDescriptor::kVote: {
      TALLY_ASSIGN_OR_RETURN(exchange.kind, DecodeVoteExchange(message.vote()));
      break;
    }
    case v1::ExchangeDescriptor::kSketch: {
      TALLY_ASSIGN_OR_RETURN(exchange.kind, DecodeSketchExchange(message.sketch(), place));
      break;
    }
    case v1::ExchangeDescriptor::kValues: {
      TALLY_ASSIGN_OR_RETURN(exchange.kind, DecodeValuesExchange(message.values(), place));
      break;
    }
    case v1::ExchangeDescriptor::kSparse: {
      TALLY_RETURN_IF_ERROR(CheckCount("sparse.max_values", message.sparse().max_values(), place));
      exchange.kind = SparseExchange{message.sparse().max_values()};
      break;
    }
    case v1::ExchangeDescriptor::KIND_NOT_SET:
      break;
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

}  // namespace tally
