// How fast are votes counted, drawn and made on one core? Bitmaps of 1 Mi elements, all of them
// read from memory once. Says nothing of transport, nor of how well the methods train.
//
//   bazel run //kernels:votes_benchmark
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "benchmark/benchmark.h"
#include "kernels/backends.h"

namespace tally {
namespace {

constexpr size_t kElements = size_t{1} << 20;

struct Votes {
  std::vector<std::vector<uint8_t>> bitmaps;
  std::vector<absl::Span<const uint8_t>> ballots;
};

Votes RandomVotes(size_t num_voters) {
  std::mt19937 random(1);
  Votes votes;
  for (size_t n = 0; n < num_voters; ++n) {
    std::vector<uint8_t>& bits = votes.bitmaps.emplace_back(kElements / 8);
    for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random());
  }
  for (const auto& bitmap : votes.bitmaps) votes.ballots.push_back(bitmap);
  return votes;
}

void Check(const absl::Status& status) { TALLY_CHECK(status.ok(), status.ToString()); }

// Items are votes.
void CountVotes(benchmark::State& state, const Backend* backend, size_t num_voters) {
  const Votes votes = RandomVotes(num_voters);
  std::vector<uint8_t> planes(CountPlanes(static_cast<uint32_t>(num_voters)) * kElements / 8);
  for (auto _ : state) {
    Check(backend->votes().CountVotes(votes.ballots, kElements, absl::MakeSpan(planes)));
  }
  std::vector<uint8_t> expected(planes.size());
  Check(SupportedBackends().front()->votes().CountVotes(votes.ballots, kElements,
                                                        absl::MakeSpan(expected)));
  TALLY_CHECK(planes == expected, "the back ends must agree");
  const auto iterations = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(iterations * static_cast<int64_t>(num_voters * kElements));
  state.SetBytesProcessed(iterations * static_cast<int64_t>(num_voters * kElements / 8));
}

void DrawVotes(benchmark::State& state, const Backend* backend, size_t num_voters) {
  const Votes votes = RandomVotes(num_voters);
  std::vector<uint8_t> bits(kElements / 8);
  const DrawStream draws = {.key = 1, .round = 2};
  for (auto _ : state) {
    Check(backend->votes().DrawVotes(votes.ballots, kElements, draws, absl::MakeSpan(bits)));
  }
  std::vector<uint8_t> expected(bits.size());
  Check(SupportedBackends().front()->votes().DrawVotes(votes.ballots, kElements, draws,
                                                       absl::MakeSpan(expected)));
  TALLY_CHECK(bits == expected, "the back ends must agree");
  const auto iterations = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(iterations * static_cast<int64_t>(num_voters * kElements));
  state.SetBytesProcessed(iterations * static_cast<int64_t>(num_voters * kElements / 8));
}

// Items are elements.
void Binarise(benchmark::State& state, const Backend* backend) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(kElements);
  for (float& g : gradient) g = normal(random);
  std::vector<float> moment(kElements);
  std::vector<float> magnitude(kElements);
  std::vector<uint8_t> bits(kElements / 8);
  for (auto _ : state) {
    Check(backend->votes().Binarise({.moment = absl::MakeSpan(moment),
                                     .magnitude = absl::MakeSpan(magnitude),
                                     .gradient = gradient,
                                     .beta = 0.95f,
                                     .one_minus_beta = 0.05f,
                                     .magnitude_beta = 0.999f,
                                     .one_minus_magnitude_beta = 0.001f,
                                     .draws = {.key = 1, .round = 2},
                                     .bits = absl::MakeSpan(bits)}));
  }
  const auto iterations = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(iterations * static_cast<int64_t>(kElements));
  // Three arrays read, two written, and the bits.
  state.SetBytesProcessed(iterations * static_cast<int64_t>(kElements * 5 * sizeof(float)));
}

// The yardstick: bytes read and written.
void Memcpy(benchmark::State& state) {
  std::vector<float> from(4 * kElements, 1.0f);
  std::vector<float> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(2 * from.size() * sizeof(float)));
}

void Register() {
  benchmark::RegisterBenchmark("memcpy", Memcpy);
  for (const Backend* backend : SupportedBackends()) {
    const std::string name(backend->name());
    for (const size_t num_voters : {4, 8, 32}) {
      const std::string suffix = absl::StrCat("/", name, "/voters:", num_voters);
      benchmark::RegisterBenchmark(absl::StrCat("count", suffix).c_str(), CountVotes, backend,
                                   num_voters);
      benchmark::RegisterBenchmark(absl::StrCat("draw", suffix).c_str(), DrawVotes, backend,
                                   num_voters);
    }
    benchmark::RegisterBenchmark(absl::StrCat("binarise/", name).c_str(), Binarise, backend);
  }
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  tally::Register();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
