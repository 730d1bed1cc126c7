// A training with scripted faults that a method and its reference play alike.
#ifndef TALLY_TESTS_REFERENCE_COMPARED_TRAINING_H_
#define TALLY_TESTS_REFERENCE_COMPARED_TRAINING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "tests/reference/method_reference.h"
#include "tests/reference/training_script.h"

namespace tally {

using CreateMethod = std::function<absl::StatusOr<std::unique_ptr<Optimizer>>(
    Exchanger* exchanger, const Backend* backend)>;

struct ComparedTrainingOptions {
  uint64_t rounds = 120;
  // The script's gradients are multiplied by it.
  float gradient_scale = 1.0f;
  // Of every parameter, before the first round.
  float initial_parameter = 0.125f;
  // Of all exchanges, each half by itself. Above 0, nobody counts in some exchanges.
  double miss_share = 0.05;
  // Gradients with a NaN in them, now and then.
  bool abstentions = true;
  // Gradients are rounded to multiples of 1/64 and kept below 4, so that sums of them are exact.
  bool dyadic = false;
};

// What all workers sent and received, and where it led.
struct Transcript {
  // Messages in order of halves, then chunks. A step that exchanges nothing is no round.
  std::vector<std::vector<ReferenceMessages>> rounds;
  std::vector<float> parameters;
};

// Everything is a pure function of the arguments; any number of workers may play at once.
class ComparedTraining {
 public:
  explicit ComparedTraining(const MethodReferenceOptions& problem,
                            const ComparedTrainingOptions& options = {});

  const MethodReferenceOptions& problem() const { return problem_; }
  Layout layout() const { return LayoutOf(problem_.model); }

  bool Misses(size_t worker, uint64_t round, size_t chunk, int half) const;

  // The whole training by the reference, whose options are the problem's. Half-way the learning
  // rate is halved. `look` is called after every round.
  Transcript Play(MethodReference& reference,
                  const std::function<void(uint64_t round)>& look = nullptr) const;
  // One worker's part by the method; x is where it stands at the end.
  absl::Status Work(Optimizer& optimizer, size_t worker, std::vector<float>& x) const;

 private:
  std::vector<float> Gradient(size_t worker, uint64_t round, absl::Span<const float> x) const;

  const MethodReferenceOptions problem_;
  const ComparedTrainingOptions options_;
  const size_t num_elements_;
  const size_t num_chunks_;
  const TrainingScript script_;
};

// What a worker saved after the last round.
using LookAtState = std::function<void(size_t worker, const SavedState& state)>;

// Plays the training with the method on every back end, over an aggregator in memory: every
// contribution, every result and the parameters of all workers must have the transcript's bytes.
void ExpectSameBits(const ComparedTraining& training, const Transcript& transcript,
                    const CreateMethod& create, const LookAtState& look = nullptr);

// The saved values of that name must have these bits.
void ExpectSavedValues(const SavedState& state, absl::string_view name,
                       absl::Span<const float> expected);

// The method's name of a reference's number format.
DType DTypeOf(reference::Format format);

// Fails if the transcript lacks a miss, an abstention or an exchange in which nobody counted.
void ExpectEveryFault(const Transcript& transcript);

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_COMPARED_TRAINING_H_
