#include "tests/reference/compared_training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint64_t kScriptSeed = 20241125;

size_t SizeOf(const ReferenceModelOptions& model) {
  size_t num_elements = 0;
  for (const ReferenceTensor& tensor : model.tensors) num_elements += tensor.size;
  return num_elements;
}

std::string BytesOf(const SharedBuffer& buffer) {
  if (buffer == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(buffer->data()), buffer->size());
}

void ExpectSameMessages(const LoopbackEntry& entry, const ReferenceMessages& expected) {
  ASSERT_EQ(entry.chunk, expected.chunk);
  ASSERT_EQ(entry.place.half, static_cast<uint32_t>(expected.half));
  const std::string where =
      absl::StrCat("round ", entry.place.round, ", half ", expected.half, ", chunk ", entry.chunk);
  for (size_t w = 0; w < entry.contributions.size(); ++w) {
    ASSERT_TRUE(BytesOf(entry.contributions[w]) == expected.contributions[w])
        << where << ", worker " << w;
    ASSERT_EQ(entry.counted[w], expected.counted[w]) << where << ", worker " << w;
  }
  ASSERT_TRUE(BytesOf(entry.result) == expected.result) << where;
}

}  // namespace

ComparedTraining::ComparedTraining(const MethodReferenceOptions& problem,
                                   const ComparedTrainingOptions& options)
    : problem_(problem),
      options_(options),
      num_elements_(SizeOf(problem.model)),
      num_chunks_(ReferenceModel(problem.model).chunks.size()),
      script_(num_elements_, kScriptSeed, options.miss_share, options.abstentions) {}

std::vector<float> ComparedTraining::Gradient(size_t worker, uint64_t round,
                                              absl::Span<const float> x) const {
  std::vector<float> gradient = script_.Gradient(worker, round, x);
  for (float& value : gradient) {
    value *= options_.gradient_scale;
    // A NaN stays one.
    if (options_.dyadic) value = std::clamp(std::round(value * 64.0f) / 64.0f, -4.0f, 4.0f);
  }
  return gradient;
}

// In a few rounds, one chunk or one half after the other, nobody counts.
bool ComparedTraining::Misses(size_t worker, uint64_t round, size_t chunk, int half) const {
  if (options_.miss_share == 0.0) return false;
  const bool nobody =
      round % 16 == 3 + 2 * static_cast<uint64_t>(half) && round / 16 % num_chunks_ == chunk;
  return nobody || script_.Misses(worker, round, chunk + num_chunks_ * static_cast<size_t>(half));
}

Transcript ComparedTraining::Play(MethodReference& reference,
                                  const std::function<void(uint64_t round)>& look) const {
  Transcript transcript;
  reference.parameters.assign(num_elements_, options_.initial_parameter);
  for (uint64_t round = 0; round < options_.rounds; ++round) {
    if (round == options_.rounds / 2) reference.set_learning_rate(problem_.learning_rate / 2);
    std::vector<std::vector<float>> gradients;
    for (size_t w = 0; w < problem_.num_workers; ++w) {
      gradients.push_back(Gradient(w, round, reference.ParametersOf(w)));
    }
    reference.Round(gradients, [&](size_t worker, size_t chunk, int half) {
      return Misses(worker, transcript.rounds.size(), chunk, half);
    });
    if (!reference.messages.empty()) transcript.rounds.push_back(reference.messages);
    if (look) look(round);
  }
  transcript.parameters = reference.parameters;
  return transcript;
}

absl::Status ComparedTraining::Work(Optimizer& optimizer, size_t worker,
                                    std::vector<float>& x) const {
  x.assign(num_elements_, options_.initial_parameter);
  for (uint64_t round = 0; round < options_.rounds; ++round) {
    if (round == options_.rounds / 2) {
      TALLY_RETURN_IF_ERROR(optimizer.SetLearningRate(problem_.learning_rate / 2));
    }
    TALLY_RETURN_IF_ERROR(optimizer.Step(absl::MakeSpan(x), Gradient(worker, round, x)));
  }
  return absl::OkStatus();
}

void ExpectSameBits(const ComparedTraining& training, const Transcript& transcript,
                    const CreateMethod& create, const LookAtState& look) {
  const size_t num_workers = training.problem().num_workers;
  for (const Backend* backend : HostBackends()) {
    SCOPED_TRACE(std::string(backend->name()));
    // The group asks once about every half, and knows nothing of halves.
    std::map<std::tuple<size_t, uint64_t, uint32_t>, int> num_asked;
    LoopbackGroup group(training.layout(),
                        {.num_workers = num_workers,
                         .misses =
                             [&](size_t worker, uint64_t round, uint32_t chunk) {
                               const int half = num_asked[{worker, round, chunk}]++;
                               return training.Misses(worker, round, chunk, half);
                             },
                         .keep_log = true,
                         .seed = training.problem().run_seed},
                        backend);
    std::vector<std::vector<float>> parameters(num_workers);
    std::vector<std::string> states(num_workers);
    ASSERT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
      TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                             create(group.worker(w), backend));
      TALLY_RETURN_IF_ERROR(training.Work(*optimizer, w, parameters[w]));
      states[w] = optimizer->SaveState();
      return absl::OkStatus();
    }),
                IsOk());
    const std::vector<LoopbackEntry> log = group.TakeLog();
    auto entry = log.begin();
    for (const std::vector<ReferenceMessages>& messages : transcript.rounds) {
      for (const ReferenceMessages& expected : messages) {
        ASSERT_NE(entry, log.end());
        ASSERT_NO_FATAL_FAILURE(ExpectSameMessages(*entry++, expected));
      }
    }
    EXPECT_EQ(entry, log.end());
    for (size_t w = 0; w < num_workers; ++w) {
      EXPECT_EQ(std::memcmp(parameters[w].data(), transcript.parameters.data(),
                            transcript.parameters.size() * sizeof(float)),
                0)
          << "worker " << w;
      if (!look) continue;
      const absl::StatusOr<SavedState> state = SavedState::Parse(states[w]);
      ASSERT_THAT(state, IsOk());
      look(w, *state);
    }
  }
}

void ExpectSavedValues(const SavedState& state, absl::string_view name,
                       absl::Span<const float> expected) {
  std::vector<float> saved(expected.size());
  ASSERT_THAT(state.Values(name, absl::MakeSpan(saved)), IsOk());
  EXPECT_EQ(std::memcmp(saved.data(), expected.data(), saved.size() * sizeof(float)), 0) << name;
}

DType DTypeOf(reference::Format format) {
  if (format == reference::Format::kFloat16) return DType::kFloat16;
  return format == reference::Format::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
}

void ExpectEveryFault(const Transcript& transcript) {
  size_t num_missed = 0;
  size_t num_abstained = 0;
  size_t num_without_result = 0;
  for (const std::vector<ReferenceMessages>& messages : transcript.rounds) {
    for (const ReferenceMessages& exchange : messages) {
      for (size_t w = 0; w < exchange.counted.size(); ++w) {
        const bool sent = !exchange.contributions[w].empty();
        num_abstained += sent ? 0 : 1;
        num_missed += sent && !exchange.counted[w] ? 1 : 0;
      }
      num_without_result += exchange.result.empty() ? 1 : 0;
    }
  }
  EXPECT_GT(num_missed, 0u);
  EXPECT_GT(num_abstained, 0u);
  EXPECT_GT(num_without_result, 0u);
}

}  // namespace tally
