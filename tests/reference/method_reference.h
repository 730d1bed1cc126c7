// What the references of all methods have in common: one slow loop that plays all workers and the
// aggregators, written from docs/algorithms.md and docs/wire-format.md alone. It shares no code
// with what it judges.
#ifndef TALLY_TESTS_REFERENCE_METHOD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_METHOD_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/reference/reference_model.h"
#include "tests/reference/reference_payload.h"

namespace tally {

// One exchange of a chunk: what everybody sent, and what came back.
struct ReferenceMessages {
  size_t chunk = 0;
  int half = 0;
  std::vector<std::string> contributions;  // by worker; empty: it abstained
  std::vector<bool> counted;               // by worker
  std::string result;                      // empty: nobody took part
};

struct MethodReferenceOptions {
  ReferenceModelOptions model;
  size_t num_workers = 0;  // w-0, w-1...: fewer than 10
  uint64_t run_seed = 0;
  float learning_rate = 0.0f;
  float weight_decay = 0.0f;
  reference::Format dense_format = reference::Format::kFloat32;
};

class MethodReference {
 public:
  // True: the result does without the worker's contribution.
  using Misses = std::function<bool(size_t worker, size_t chunk, int half)>;

  explicit MethodReference(const MethodReferenceOptions& options);
  virtual ~MethodReference() = default;

  // One round. gradients[w] is worker w's flat gradient; a chunk of it with a value that is not
  // finite, or above 2^64, abstains.
  void Round(const std::vector<std::vector<float>>& gradients, const Misses& misses);

  // How often, so far, a carry waited because it did not fit in with the next gradient.
  size_t num_waiting_carries() const { return num_waiting_carries_; }

  // What a worker stands at: between two exchanges of some methods it is by itself.
  virtual const std::vector<float>& ParametersOf(size_t) const { return parameters; }

  void set_learning_rate(float learning_rate) { options_.learning_rate = learning_rate; }

  // The flat model. Set it before the first round.
  std::vector<float> parameters;
  // Of the last round, in order of halves, then chunks.
  std::vector<ReferenceMessages> messages;

 protected:
  // A round of one chunk that is not exchanged dense, up to the last message.
  virtual void CompressedChunk(size_t chunk) = 0;
  // What is done with the mean gradient of a dense one.
  virtual void DenseChunk(size_t chunk, const std::vector<float>& mean) = 0;
  virtual void BeginRound() {}
  virtual void EndRound() {}
  // Whether anything is exchanged in this round.
  virtual bool Exchanges() const { return true; }
  // What a worker puts into a dense exchange.
  virtual float DenseInput(size_t worker, size_t element) const {
    return gradient(worker, element);
  }
  // Whether the chunk's exchange is dense in this round.
  virtual bool IsDense(size_t chunk) const { return chunks()[chunk].dense; }

  const MethodReferenceOptions& options() const { return options_; }
  const std::vector<ReferenceChunk>& chunks() const { return model_.chunks; }
  const ReferenceModel& model() const { return model_; }
  size_t num_workers() const { return options_.num_workers; }
  // From 0.
  uint64_t round() const { return round_; }
  float gradient(size_t worker, size_t element) const { return (*gradients_)[worker][element]; }
  bool IsFinite(size_t worker, size_t chunk) const;
  std::vector<bool> LiveOf(size_t chunk) const;

  // Starts an exchange in which the workers send this; empty: abstains.
  ReferenceMessages Send(size_t chunk, int half, std::vector<std::string> contributions) const;
  // Ends it.
  void Keep(ReferenceMessages exchange) { messages.push_back(std::move(exchange)); }
  static std::vector<size_t> Participants(const ReferenceMessages& exchange);

  // x = x - learning_rate (direction + weight_decay x)
  void Move(size_t element, float direction);

  // By worker: gradients of dense exchanges that missed their rounds, and the chunks that have
  // some.
  std::vector<std::vector<float>> carries_;
  std::vector<std::vector<bool>> carrying_;

 private:
  void DenseExchange(size_t chunk);

  MethodReferenceOptions options_;
  const ReferenceModel model_;
  uint64_t round_ = 0;
  const std::vector<std::vector<float>>* gradients_ = nullptr;
  const Misses* misses_ = nullptr;
  size_t num_waiting_carries_ = 0;
};

// Mean of the participants' values: values[w] is what worker w sent, as it arrived.
std::vector<float> MeanOf(const std::vector<std::vector<float>>& values,
                          const std::vector<size_t>& participants);

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_METHOD_REFERENCE_H_
