#include "tests/reference/sign_rounds_reference.h"

#include <string>
#include <utility>

namespace tally {

SignRoundsReference::SignRoundsReference(const MethodReferenceOptions& options,
                                         const reference::SignRule& rule)
    : MethodReference(options), rule_(rule) {
  ForgetResiduals();
}

void SignRoundsReference::ForgetResiduals() {
  residual_.assign(parameters.size(), 0.0f);
  sums_.assign(num_workers(), residual_);
  leaving_ = sums_;
}

void SignRoundsReference::TakeCarries(const std::function<float(size_t element)>& factor) {
  for (size_t w = 0; w < num_workers(); ++w) {
    for (size_t c = 0; c < chunks().size(); ++c) {
      if (chunks()[c].dense || !carrying_[w][c]) continue;
      for (const size_t i : chunks()[c].elements) {
        sums_[w][i] += factor(i) * carries_[w][i];
        carries_[w][i] = 0.0f;
      }
      carrying_[w][c] = false;
    }
  }
}

void SignRoundsReference::CompressedChunk(size_t chunk) {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  const std::vector<bool> live = LiveOf(chunk);
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<float>> sent(num_workers());  // c
  for (size_t w = 0; w < num_workers(); ++w) {
    if (!TakesPart(w, chunk)) continue;
    for (const size_t i : elements) {
      float& a = sums_[w][i];
      a = a - leaving_[w][i];
      a = model().live[i] ? a + SignInput(w, i) : 0.0f;
      leaving_[w][i] = 0.0f;
      sent[w].push_back(a);
    }
    contributions[w] = reference::CompressToSigns(rule_, reference::By::kWorker, live, sent[w]);
  }
  ReferenceMessages exchange = Send(chunk, /*half=*/0, std::move(contributions));
  for (size_t w = 0; w < num_workers(); ++w) {
    if (exchange.contributions[w].empty()) continue;
    if (!exchange.counted[w]) {
      TakeBack(w, chunk);
      continue;
    }
    for (size_t k = 0; k < elements.size(); ++k) leaving_[w][elements[k]] = sent[w][k];
  }
  const std::vector<size_t> participants = Participants(exchange);
  if (participants.empty()) return Keep(std::move(exchange));
  std::vector<float> b = MeanOf(sent, participants);
  for (size_t k = 0; k < b.size(); ++k) b[k] = live[k] ? b[k] + residual_[elements[k]] : 0.0f;
  std::vector<float> s = b;
  exchange.result = reference::CompressToSigns(rule_, reference::By::kAggregator, live, s);
  Keep(std::move(exchange));
  for (size_t k = 0; k < b.size(); ++k) residual_[elements[k]] = b[k] - s[k];
  TakeSigns(chunk, s);
}

}  // namespace tally
