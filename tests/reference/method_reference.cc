#include "tests/reference/method_reference.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace tally {

using reference::Format;

MethodReference::MethodReference(const MethodReferenceOptions& options)
    : options_(options), model_(options.model) {
  parameters.resize(model_.num_elements());
  carries_.assign(options_.num_workers, std::vector<float>(model_.num_elements()));
  carrying_.assign(options_.num_workers, std::vector<bool>(chunks().size()));
}

void MethodReference::Round(const std::vector<std::vector<float>>& gradients,
                            const Misses& misses) {
  gradients_ = &gradients;
  misses_ = &misses;
  messages.clear();
  BeginRound();
  for (size_t c = 0; c < chunks().size() && Exchanges(); ++c) {
    if (IsDense(c)) {
      DenseExchange(c);
    } else {
      CompressedChunk(c);
    }
  }
  EndRound();
  std::sort(messages.begin(), messages.end(),
            [](const ReferenceMessages& a, const ReferenceMessages& b) {
              return std::tie(a.half, a.chunk) < std::tie(b.half, b.chunk);
            });
  ++round_;
}

void MethodReference::DenseExchange(size_t chunk) {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  const Format format = options_.dense_format;
  const auto may_be_sent = [format](const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(),
                       [format](float value) { return reference::MayBeSent(format, value); });
  };
  std::vector<std::vector<float>> sent(num_workers());
  std::vector<std::string> contributions(num_workers());
  std::vector<bool> with_carry(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    std::vector<float> sum;
    for (const size_t i : elements) {
      sent[w].push_back(DenseInput(w, i));
      sum.push_back(DenseInput(w, i) + carries_[w][i]);
    }
    with_carry[w] = carrying_[w][chunk] && may_be_sent(sum);
    if (with_carry[w]) sent[w] = sum;
    if (!may_be_sent(sent[w])) continue;
    if (carrying_[w][chunk] && !with_carry[w]) ++num_waiting_carries_;
    contributions[w] = reference::DensePayload(format, sent[w]);
    for (float& value : sent[w]) value = reference::Rounded(format, value);
  }
  ReferenceMessages exchange = Send(chunk, /*half=*/0, std::move(contributions));
  for (size_t w = 0; w < num_workers(); ++w) {
    if (exchange.contributions[w].empty()) continue;
    if (exchange.counted[w] && !with_carry[w]) continue;
    for (const size_t i : elements) {
      if (exchange.counted[w]) {
        carries_[w][i] = 0.0f;
      } else {
        carries_[w][i] = carrying_[w][chunk] ? DenseInput(w, i) + carries_[w][i] : DenseInput(w, i);
      }
    }
    carrying_[w][chunk] = !exchange.counted[w];
  }
  const std::vector<size_t> participants = Participants(exchange);
  std::vector<float> mean;
  if (!participants.empty()) {
    mean = MeanOf(sent, participants);
    exchange.result = reference::DensePayload(format, mean);
    for (float& value : mean) value = reference::Rounded(format, value);
  }
  Keep(std::move(exchange));
  if (!mean.empty()) DenseChunk(chunk, mean);
}

bool MethodReference::IsFinite(size_t worker, size_t chunk) const {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  return std::all_of(elements.begin(), elements.end(), [&](size_t i) {
    return reference::MayBeSent(Format::kFloat32, gradient(worker, i));
  });
}

std::vector<bool> MethodReference::LiveOf(size_t chunk) const {
  std::vector<bool> live;
  for (const size_t i : chunks()[chunk].elements) live.push_back(model_.live[i]);
  return live;
}

ReferenceMessages MethodReference::Send(size_t chunk, int half,
                                        std::vector<std::string> contributions) const {
  ReferenceMessages exchange = {.chunk = chunk, .half = half};
  for (size_t w = 0; w < num_workers(); ++w) {
    exchange.counted.push_back(!contributions[w].empty() && !(*misses_)(w, chunk, half));
  }
  exchange.contributions = std::move(contributions);
  return exchange;
}

std::vector<size_t> MethodReference::Participants(const ReferenceMessages& exchange) {
  std::vector<size_t> participants;
  for (size_t w = 0; w < exchange.counted.size(); ++w) {
    if (exchange.counted[w]) participants.push_back(w);
  }
  return participants;
}

void MethodReference::Move(size_t element, float direction) {
  float& x = parameters[element];
  x = x - options_.learning_rate * (direction + options_.weight_decay * x);
}

std::vector<float> MeanOf(const std::vector<std::vector<float>>& values,
                          const std::vector<size_t>& participants) {
  std::vector<float> mean = values[participants[0]];
  for (size_t p = 1; p < participants.size(); ++p) {
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += values[participants[p]][i];
  }
  for (float& value : mean) value /= static_cast<float>(participants.size());
  return mean;
}

}  // namespace tally
