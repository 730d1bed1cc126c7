#include "client/advice/round_cost.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "client/advice/measured_rates.h"

namespace tally {
namespace {

double LinkBytesPerSecond(double bits_per_second) {
  return bits_per_second / 8 * kPayloadShareOfLink;
}

// What gRPC gives of a link with so many cores.
double GrpcBytesPerSecond(double bits_per_second, uint32_t cores) {
  return std::min(LinkBytesPerSecond(bits_per_second), cores * kGrpcBytesPerSecond);
}

absl::Duration HideBehindStep(const AdviceOptions& options, absl::Duration exchange) {
  return options.step + std::max(absl::ZeroDuration(), exchange - options.overlap * options.step);
}

absl::Duration ExchangeTime(const RoundCost& cost) {
  const absl::Duration slowest = std::max({cost.worker, cost.up, cost.aggregator, cost.down});
  const absl::Duration others = cost.worker + cost.up + cost.aggregator + cost.down - slowest;
  return std::max(slowest, cost.window) + others / static_cast<double>(cost.chunks) + cost.latency;
}

}  // namespace

RoundCost CostOfRound(const AdviceOptions& options, const RoundLoad& load, absl::Duration worker,
                      double exchanges_per_round) {
  const double up_rate = GrpcBytesPerSecond(options.uplink_bits_per_second, 1);
  const double down_rate = GrpcBytesPerSecond(*options.downlink_bits_per_second, 1);
  const double aggregator_rate =
      GrpcBytesPerSecond(*options.aggregator_link_bits_per_second, options.aggregator_cores);
  RoundCost cost;
  cost.up_bytes = exchanges_per_round * load.up_bytes;
  cost.down_bytes = exchanges_per_round * load.down_bytes;
  cost.chunks = load.chunks;
  cost.worker = worker;
  cost.up =
      absl::Seconds(std::max(load.up_bytes / up_rate, load.busiest_up_bytes / aggregator_rate));
  cost.down = absl::Seconds(
      std::max(load.down_bytes / down_rate, load.busiest_down_bytes / aggregator_rate));
  cost.aggregator = absl::Seconds(load.busiest_core_seconds / options.aggregator_cores);
  cost.latency = load.halves * options.latency;
  cost.window = cost.latency * (static_cast<double>(load.busiest_chunks) / double{kWindowChunks});
  cost.exchange = ExchangeTime(cost);
  cost.round = exchanges_per_round * HideBehindStep(options, cost.exchange) +
               (1 - exchanges_per_round) * (options.step + cost.worker);
  return cost;
}

RingCost CostOfRing(const AdviceOptions& options, DType dtype, absl::Duration worker) {
  const double n = options.workers;
  const double bytes = 2 * (n - 1) / n * static_cast<double>(options.parameters) *
                       static_cast<double>(ElementBytes(dtype));
  const double rate = LinkBytesPerSecond(
      std::min(options.uplink_bits_per_second, *options.downlink_bits_per_second));
  const absl::Duration exchange = absl::Seconds(bytes / rate) + (n - 1) * options.latency + worker;
  return {absl::AsciiStrToLower(DTypeName(dtype)), bytes, HideBehindStep(options, exchange)};
}

}  // namespace tally
