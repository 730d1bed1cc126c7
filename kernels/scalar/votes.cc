#include "kernels/scalar/votes.h"

#include <algorithm>
#include <cmath>

#include "base/mix64.h"

namespace tally {
namespace {

uint32_t BitAt(absl::Span<const uint8_t> bits, size_t i) { return (bits[i / 8] >> (i % 8)) & 1; }

void SetBit(absl::Span<uint8_t> bits, size_t i) {
  bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | (1u << (i % 8)));
}

uint32_t CountAt(Ballots ballots, size_t i) {
  uint32_t count = 0;
  for (const absl::Span<const uint8_t> ballot : ballots) count += BitAt(ballot, i);
  return count;
}

}  // namespace

void ScalarVotes::DoBinarise(const BinariseArgs& args) const {
  std::fill(args.bits.begin(), args.bits.end(), uint8_t{0});
  for (size_t i = 0; i < args.moment.size(); ++i) {
    const float g = args.gradient[i];
    const float m = args.beta * args.moment[i] + args.one_minus_beta * g;
    const float b =
        args.magnitude_beta * args.magnitude[i] + args.one_minus_magnitude_beta * std::fabs(g);
    args.moment[i] = m;
    args.magnitude[i] = b;
    const float u = b > 0.0f ? std::clamp(m / b, -1.0f, 1.0f) : 0.0f;
    const auto threshold = static_cast<uint32_t>((1.0f + u) * 0x1p23f);
    if ((args.draws.WordAt(i) >> 8) < threshold) SetBit(args.bits, i);
  }
}

void ScalarVotes::DoCountVotes(Ballots ballots, size_t num_elements,
                               absl::Span<uint8_t> planes) const {
  std::fill(planes.begin(), planes.end(), uint8_t{0});
  const size_t plane_bytes = BitmapBytes(num_elements);
  for (size_t i = 0; i < num_elements; ++i) {
    const uint32_t count = CountAt(ballots, i);
    for (size_t p = 0; p * plane_bytes < planes.size(); ++p) {
      if ((count >> p) & 1) SetBit(planes.subspan(p * plane_bytes, plane_bytes), i);
    }
  }
}

void ScalarVotes::DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                              absl::Span<uint8_t> bits) const {
  std::fill(bits.begin(), bits.end(), uint8_t{0});
  const auto num_voters = static_cast<uint32_t>(ballots.size());
  for (size_t i = 0; i < num_elements; ++i) {
    if (ScaleTo(draws.WordAt(i), num_voters) < CountAt(ballots, i)) SetBit(bits, i);
  }
}

void ScalarVotes::DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                                  absl::Span<uint8_t> bits) const {
  std::fill(bits.begin(), bits.end(), uint8_t{0});
  for (size_t i = 0; i < num_elements; ++i) {
    const size_t twice = 2 * size_t{CountAt(ballots, i)};
    const bool tied = twice == ballots.size();
    if (tied ? draws.WordAt(i) >> 31 != 0 : twice > ballots.size()) SetBit(bits, i);
  }
}

void ScalarVotes::DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                                 absl::Span<float> mean) const {
  const size_t plane_bytes = BitmapBytes(mean.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    int64_t count = 0;
    for (size_t p = 0; p * plane_bytes < planes.size(); ++p) {
      count += int64_t{BitAt(planes.subspan(p * plane_bytes, plane_bytes), i)} << p;
    }
    mean[i] = static_cast<float>(2 * count - int64_t{num_voters}) / static_cast<float>(num_voters);
  }
}

}  // namespace tally
