// Input: a serialized v1::ExchangeDescriptor.
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

const Layout& FixedLayout() {
  static const auto& layout = *new Layout(
      *Layout::Create({{"a", 1}, {"b", 900}, {"c", 5000}, {"bias", 700, Treatment::kDense}}, 1024));
  return layout;
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
        Exchange{SignExchange{.granularity = {ScaleGranularity::Unit::kModel}}}}) {
    seeds.push_back(EncodeExchange(exchange).SerializeAsString());
  }
  return seeds;
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  v1::ExchangeDescriptor message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  const Layout& layout = FixedLayout();
  for (size_t c = 0; c < layout.chunks().size(); ++c) {
    const absl::StatusOr<Exchange> exchange = DecodeExchange(message, layout, c);
    if (!exchange.ok()) continue;
    const absl::StatusOr<Exchange> again = DecodeExchange(EncodeExchange(*exchange), layout, c);
    TALLY_CHECK(again.ok() && *again == *exchange, "round trip");
    TALLY_CHECK(ContributionSize(*exchange, layout, c).max_bytes <= MaxContributionBytes(layout, c),
                "bound on payloads");
  }
  return 0;
}
