// Input: a serialized v1::ExchangeDescriptor; also judged as a payload of what it describes.
#include <algorithm>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/host_backends.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

const std::vector<Layout>& FixedLayouts() {
  static const auto& layouts = *[] {
    const std::vector<Tensor> tensors = {{"a", 1},
                                         {"b", 900},
                                         {"c", 5000, Treatment::kCompressed, {{70, 400}}},
                                         {"bias", 700, Treatment::kDense}};
    return new std::vector<Layout>{
        *Layout::Create(tensors, 1024),
        *Layout::Create(tensors, 1024, DealingOptions{.num_groups = 3, .seed = 9})};
  }();
  return layouts;
}

bool MayRelay(const Exchange& exchange, uint32_t num_participants) {
  return !absl::holds_alternative<SignRelayExchange>(exchange.kind) ||
         num_participants <= kMaxRelayParticipants;
}

void CheckSize(bool accepted, size_t payload_bytes, const PayloadSize& size) {
  TALLY_CHECK(!accepted || payload_bytes <= size.max_bytes, "bound on a payload");
  TALLY_CHECK(!accepted || !size.fixed || payload_bytes == size.max_bytes, "size of a payload");
}

void CheckPayloads(const Exchange& exchange, const Layout& layout, size_t chunk,
                   absl::Span<const uint8_t> payload) {
  const Backend& backend = *HostBackends().front();
  const PayloadSize contribution = ContributionSize(exchange, layout, chunk);
  TALLY_CHECK(contribution.max_bytes <= MaxContributionBytes(layout, chunk),
              "bound on contributions");
  CheckSize(ValidateContribution(exchange, layout, chunk, payload, backend).ok(), payload.size(),
            contribution);
  for (const uint32_t num_participants : {1u, 3u, 16u, 65'536u}) {
    if (!MayRelay(exchange, num_participants)) continue;
    const PayloadSize result = ResultSize(exchange, layout, chunk, num_participants);
    TALLY_CHECK(result.max_bytes <= MaxResultBytes(layout, chunk, num_participants),
                "bound on results");
    CheckSize(ValidateResult(exchange, layout, chunk, num_participants, payload, backend).ok(),
              payload.size(), result);
  }
}

}  // namespace

std::vector<std::string> SeedInputs() {
  std::vector<std::string> seeds;
  for (const Exchange& exchange :
       {Exchange{DenseExchange{DType::kBFloat16}, Divisor::kRoster},
        Exchange{SignExchange{ScaleRule::kMeanMagnitude,
                              {ScaleGranularity::Unit::kBlock, 512},
                              /*zero_residual=*/true}},
        Exchange{SignExchange{.granularity = {ScaleGranularity::Unit::kTensor}}},
        Exchange{SignExchange{.granularity = {ScaleGranularity::Unit::kModel}}},
        Exchange{SignRelayExchange{{ScaleGranularity::Unit::kTensor}}},
        Exchange{VoteExchange{VoteResult::kDrawn}}, Exchange{VoteExchange{VoteResult::kCounts}},
        Exchange{SketchExchange{1, 5, 32, DType::kFloat16, 20, /*with_estimates=*/true}},
        Exchange{SketchExchange{1, 1, 65'536, DType::kFloat32, 1}},
        Exchange{ValuesExchange{20, 7, DType::kFloat32}}, Exchange{SparseExchange{20}}}) {
    seeds.push_back(EncodeExchange(exchange).SerializeAsString());
  }
  return seeds;
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  v1::ExchangeDescriptor message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  Buffer payload(size);
  std::copy_n(data, size, payload.bytes().begin());
  for (const Layout& layout : FixedLayouts()) {
    for (size_t c = 0; c < layout.chunks().size(); ++c) {
      const absl::StatusOr<Exchange> exchange = DecodeExchange(message, layout, c);
      if (!exchange.ok()) continue;
      const absl::StatusOr<Exchange> again = DecodeExchange(EncodeExchange(*exchange), layout, c);
      TALLY_CHECK(again.ok() && *again == *exchange, "round trip");
      CheckPayloads(*exchange, layout, c, payload.bytes());
    }
  }
  return 0;
}
