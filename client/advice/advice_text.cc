#include "client/advice/advice_text.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "base/byte_size.h"
#include "client/advice/measured_rates.h"

namespace tally {
namespace {

// "25,600,000".
std::string FormatCount(uint64_t count) {
  if (count < 1000) return absl::StrCat(count);
  return absl::StrCat(FormatCount(count / 1000), ",", absl::Dec(count % 1000, absl::kZeroPad3));
}

std::string Plural(uint64_t count, absl::string_view noun) {
  return absl::StrCat(FormatCount(count), " ", noun, count == 1 ? "" : "s");
}

std::string FormatBytes(double bytes) {
  return FormatByteSize(static_cast<uint64_t>(std::llround(bytes)));
}

// "12.3", "0.41", "310".
std::string FormatThreeDigits(double value) {
  if (value >= 99.95) return absl::StrFormat("%.0f", value);
  if (value >= 9.995) return absl::StrFormat("%.1f", value);
  return absl::StrFormat("%.2f", value);
}

std::string FormatGain(double gain) { return absl::StrCat(FormatThreeDigits(gain), " x"); }

absl::string_view VerdictName(AdviceVerdict verdict) {
  switch (verdict) {
    case AdviceVerdict::kUncompressed:
      return "-";
    case AdviceVerdict::kFaster:
      return "faster";
    case AdviceVerdict::kNoGain:
      return "no gain";
    case AdviceVerdict::kSlower:
      return "slower";
    case AdviceVerdict::kUnsuitable:
      break;
  }
  return "unsuitable";
}

std::string NameOf(const AdviceRow& row) {
  if (row.settings.empty()) return row.method;
  return absl::StrCat(row.method, " (", row.settings, ")");
}

std::string Question(const AdviceOptions& options) {
  std::string text =
      absl::StrCat(Plural(options.parameters, "parameter"), ", ", Plural(options.workers, "worker"),
                   " at ", FormatBitRate(options.uplink_bits_per_second), " up and ",
                   FormatBitRate(*options.downlink_bits_per_second), " down, ",
                   Plural(options.aggregators, "aggregator"), " at ",
                   FormatBitRate(*options.aggregator_link_bits_per_second), " each way with ",
                   Plural(options.aggregator_cores, "core"), ",\nlatency ",
                   FormatSeconds(options.latency), ", step ", FormatSeconds(options.step),
                   " (overlap ", options.overlap, "), ", Plural(options.rounds, "round"));
  if (options.dense_share > 0) {
    absl::StrAppend(&text, ", share ", options.dense_share, " of the parameters always dense");
  }
  return absl::StrCat(text, ".\n");
}

std::string Answer(const Advice& advice) {
  const AdviceRow& dense = advice.rows[advice.fastest_dense];
  const AdviceRow& fastest = advice.rows[advice.fastest];
  const RingCost& ring = advice.rings[advice.fastest_ring];
  const std::string uncompressed =
      absl::StrCat("uncompressed at best ", FormatSeconds(dense.mean_round), " a round, ",
                   NameOf(dense), "; a ring all-reduce, where there is one, ",
                   FormatSeconds(ring.round), " (", ring.settings, ")");
  const std::string compressed = absl::StrCat("the fastest is ", NameOf(fastest), ", ",
                                              FormatSeconds(fastest.mean_round), " a round");
  switch (advice.recommendation) {
    case Recommendation::kCompress:
      return absl::StrCat("Compress: ", compressed, ";\n", uncompressed, ".\n");
    case Recommendation::kCompressUnlessRing:
      return absl::StrCat("Do not compress if the workers can all-reduce; if not, compress: ",
                          compressed, ";\n", uncompressed, ".\n");
    case Recommendation::kDoNotCompress:
      break;
  }
  return absl::StrCat("Do not compress: nothing is faster by a tenth; ", compressed, ";\n",
                      uncompressed, ".\n");
}

// Columns of both tables.
class Tables {
 public:
  explicit Tables(const std::vector<AdviceRow>& rows) {
    for (const AdviceRow& row : rows) {
      method_width_ = std::max(method_width_, static_cast<int>(row.method.size()));
      settings_width_ = std::max(settings_width_, static_cast<int>(row.settings.size()));
    }
  }

  std::string RowHead() const {
    return absl::StrCat(Name("method", "settings"),
                        absl::StrFormat("  %10s  %10s  %8s  %8s  %8s  %8s\n", "bytes up",
                                        "bytes down", "round", "mean", "to dense", "to ring"));
  }
  std::string Row(const AdviceRow& row) const {
    const std::string name = Name(row.method, row.settings);
    if (!HasCost(row)) return absl::StrCat(name, "  ", VerdictName(row.verdict), "\n");
    return absl::StrCat(
        name,
        absl::StrFormat("  %10s  %10s  %8s  %8s  %8s  %8s  %s\n", FormatBytes(row.cost.up_bytes),
                        FormatBytes(row.cost.down_bytes), FormatSeconds(row.cost.round),
                        FormatSeconds(row.mean_round), FormatGain(row.gain),
                        FormatGain(row.ring_gain), VerdictName(row.verdict)));
  }

  std::string TermsHead() const {
    return absl::StrCat(
        Name("method", "settings"),
        absl::StrFormat("  %8s  %8s  %10s  %8s  %8s  %8s  %7s  %8s\n", "worker", "up", "aggregator",
                        "down", "window", "latency", "chunks", "exchange"));
  }
  std::string Terms(const AdviceRow& row) const {
    if (!HasCost(row)) return "";
    const RoundCost& cost = row.cost;
    return absl::StrCat(
        Name(row.method, row.settings),
        absl::StrFormat("  %8s  %8s  %10s  %8s  %8s  %8s  %7d  %8s\n", FormatSeconds(cost.worker),
                        FormatSeconds(cost.up), FormatSeconds(cost.aggregator),
                        FormatSeconds(cost.down), FormatSeconds(cost.window),
                        FormatSeconds(cost.latency), cost.chunks, FormatSeconds(cost.exchange)));
  }

 private:
  // False for a method that the layout refuses.
  static bool HasCost(const AdviceRow& row) { return row.mean_round > absl::ZeroDuration(); }
  std::string Name(absl::string_view method, absl::string_view settings) const {
    return absl::StrFormat("%-*s  %-*s", method_width_, method, settings_width_, settings);
  }

  int method_width_ = 6;
  int settings_width_ = 8;
};

std::string Formula() {
  return absl::StrFormat(
      "round    = step + max(0, exchange - overlap * step)\n"
      "exchange = longest of worker, up, aggregator, down, window\n"
      "           + (worker + up + aggregator + down - longest of these) / chunks + latency\n"
      "worker: encoding, decoding and the step; aggregator: its arithmetic; as measured, "
      "docs/benchmarks.md.\n"
      "up, down: the longer of a worker's bytes over its link and all workers' over the busiest "
      "aggregator's;\n"
      "links give %.0f %% of their rate, gRPC %.2f GB/s a core. window: latency * chunks of that "
      "aggregator / %d.\n"
      "mean: over the run, warm-up included. to dense, to ring: the fastest one's mean over this "
      "one.\n"
      "What a method does to the loss is another matter: docs/benchmarks.md.\n",
      kPayloadShareOfLink * 100, kGrpcBytesPerSecond / 1e9, kWindowChunks);
}

}  // namespace

std::string FormatSeconds(absl::Duration time) {
  const double seconds = absl::ToDoubleSeconds(time);
  if (seconds == 0) return "0 s";
  if (seconds >= 3600) return absl::StrCat(FormatThreeDigits(seconds / 3600), " h");
  if (seconds >= 0.9995) return absl::StrCat(FormatThreeDigits(seconds), " s");
  if (seconds >= 0.9995e-3) return absl::StrCat(FormatThreeDigits(seconds * 1e3), " ms");
  return absl::StrCat(FormatThreeDigits(seconds * 1e6), " us");
}

std::string FormatBitRate(double bits_per_second) {
  if (bits_per_second >= 1e9) return absl::StrCat(bits_per_second / 1e9, " Gbps");
  if (bits_per_second >= 1e6) return absl::StrCat(bits_per_second / 1e6, " Mbps");
  if (bits_per_second >= 1e3) return absl::StrCat(bits_per_second / 1e3, " kbps");
  return absl::StrCat(bits_per_second, " bps");
}

std::string FormatAdvice(const Advice& advice) {
  std::vector<AdviceRow> rows = advice.rows;
  std::stable_sort(rows.begin(), rows.end(), [](const AdviceRow& a, const AdviceRow& b) {
    const auto rank = [](const AdviceRow& row) {
      return row.verdict == AdviceVerdict::kUnsuitable ? absl::InfiniteDuration() : row.mean_round;
    };
    return rank(a) < rank(b);
  });
  const Tables tables(rows);
  std::string text = absl::StrCat(Question(advice.options), Answer(advice), "\n", tables.RowHead());
  for (const AdviceRow& row : rows) text += tables.Row(row);
  absl::StrAppend(&text, "\n", tables.TermsHead());
  for (const AdviceRow& row : rows) text += tables.Terms(row);
  absl::StrAppend(&text, "\n", Formula());
  for (const AdviceRow& row : rows) {
    if (!row.warning.empty()) {
      absl::StrAppend(&text, "Unsuitable: ", NameOf(row), ": ", row.warning, ".\n");
    }
  }
  return text;
}

}  // namespace tally
