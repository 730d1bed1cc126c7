#include "tests/reference/birder_reference.h"

#include <cmath>
#include <string>
#include <utility>

#include "tests/reference/reference_random.h"

namespace tally {
namespace {

// The counts' bit planes: as many as `num_voters` has binary digits.
std::string Planes(const std::vector<size_t>& counts, size_t num_voters) {
  std::string bytes;
  for (size_t plane = 0; num_voters >> plane > 0; ++plane) {
    std::vector<bool> bits;
    for (const size_t count : counts) bits.push_back((count >> plane) % 2 == 1);
    bytes += reference::Bitmap(bits);
  }
  return bytes;
}

}  // namespace

BirderReference::BirderReference(const BirderReferenceOptions& options)
    : MethodReference(options.method), options_(options) {
  m_.assign(num_workers(), std::vector<float>(parameters.size()));
  b_ = m_;
}

float BirderReference::Blend(float& m, float& b, float gradient) const {
  const float beta = options_.beta;
  m = beta * m + (1.0f - beta) * gradient;
  float beta_b = beta;
  if (options_.magnitude_beta.has_value()) {
    beta_b = std::fmin(*options_.magnitude_beta, 1.0f - 1.0f / static_cast<float>(round() + 1));
  }
  b = beta_b * b + (1.0f - beta_b) * std::fabs(gradient);
  if (!(b > 0.0f)) return 0.0f;
  const float u = m / b;
  return u < -1.0f ? -1.0f : u > 1.0f ? 1.0f : u;
}

void BirderReference::CompressedChunk(size_t chunk) {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<bool>> votes(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    if (!IsFinite(w, chunk)) continue;
    const uint64_t key = reference::VoteKey(options().run_seed, "w-" + std::to_string(w));
    for (const size_t i : elements) {
      const float u = Blend(m_[w][i], b_[w][i], gradient(w, i));
      const float threshold = std::floor((1.0f + u) * 0x1p23f);
      const uint32_t draw = reference::WordOf(key, round(), i) >> 8;
      votes[w].push_back(draw < static_cast<uint32_t>(threshold));
      if (threshold > 0.0f && threshold < 0x1p24f) ++num_open_draws_;
    }
    contributions[w] = reference::Bitmap(votes[w]);
  }
  ReferenceMessages exchange = Send(chunk, /*half=*/0, std::move(contributions));
  const std::vector<size_t> participants = Participants(exchange);
  const auto n = static_cast<uint32_t>(participants.size());
  if (n > 0) {
    const uint64_t key = reference::ResultKey(options().run_seed);
    std::vector<size_t> counts;
    std::vector<bool> drawn;
    for (size_t k = 0; k < elements.size(); ++k) {
      size_t ones = 0;
      for (const size_t w : participants) ones += votes[w][k] ? 1 : 0;
      counts.push_back(ones);
      drawn.push_back(reference::Scale(reference::WordOf(key, round(), elements[k]), n) < ones);
      float direction = drawn[k] ? 1.0f : -1.0f;
      if (options_.vote_counts) {
        direction =
            (2.0f * static_cast<float>(ones) - static_cast<float>(n)) / static_cast<float>(n);
      }
      Move(elements[k], model().live[elements[k]] ? direction : 0.0f);
    }
    exchange.result =
        options_.vote_counts ? Planes(counts, participants.size()) : reference::Bitmap(drawn);
  }
  Keep(std::move(exchange));
}

void BirderReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    Move(i, Blend(m_[0][i], b_[0][i], mean[k]));
  }
}

}  // namespace tally
