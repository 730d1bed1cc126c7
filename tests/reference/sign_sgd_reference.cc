#include "tests/reference/sign_sgd_reference.h"

#include <string>
#include <utility>

#include "tests/reference/reference_random.h"

namespace tally {

SignSgdReference::SignSgdReference(const SignSgdReferenceOptions& options)
    : MethodReference(options.method), momentum_(options.momentum), dense_m_(parameters.size()) {
  m_.assign(num_workers(), std::vector<float>(parameters.size()));
}

void SignSgdReference::CompressedChunk(size_t chunk) {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<bool>> votes(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    if (!IsFinite(w, chunk)) continue;
    for (const size_t i : elements) {
      m_[w][i] = momentum_ * m_[w][i] + (1.0f - momentum_) * gradient(w, i);
      votes[w].push_back(!(m_[w][i] < 0.0f));
    }
    contributions[w] = reference::Bitmap(votes[w]);
  }
  ReferenceMessages exchange = Send(chunk, /*half=*/0, std::move(contributions));
  const std::vector<size_t> participants = Participants(exchange);
  if (!participants.empty()) {
    const uint64_t key = reference::ResultKey(options().run_seed);
    std::vector<bool> majority;
    for (size_t k = 0; k < elements.size(); ++k) {
      size_t ones = 0;
      for (const size_t w : participants) ones += votes[w][k] ? 1 : 0;
      if (2 * ones == participants.size()) {
        ++num_ties_;
        majority.push_back(reference::WordOf(key, round(), elements[k]) >> 31 == 1);
      } else {
        majority.push_back(2 * ones > participants.size());
      }
      const float sign = majority[k] ? 1.0f : -1.0f;
      Move(elements[k], model().live[elements[k]] ? sign : 0.0f);
    }
    exchange.result = reference::Bitmap(majority);
  }
  Keep(std::move(exchange));
}

void SignSgdReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    dense_m_[i] = momentum_ * dense_m_[i] + (1.0f - momentum_) * mean[k];
    const float sign = dense_m_[i] < 0.0f ? -1.0f : 1.0f;
    Move(i, model().live[i] ? sign : 0.0f);
  }
}

}  // namespace tally
