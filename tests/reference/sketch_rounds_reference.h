// Sketch rounds over a dealt layout, for the references of the methods that sketch: see
// method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_SKETCH_ROUNDS_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_SKETCH_ROUNDS_REFERENCE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/reference/method_reference.h"
#include "tests/reference/reference_ledger.h"
#include "tests/reference/reference_payload.h"

namespace tally {

struct SketchReferenceOptions {
  size_t num_updated = 0;             // k
  size_t candidates_per_updated = 4;  // P
  size_t rows = 5;
  size_t columns = 0;
  bool exact_values = true;
  reference::Format table_format = reference::Format::kBFloat16;
  reference::Format values_format = reference::Format::kFloat32;
};

class SketchRoundsReference : public MethodReference {
 public:
  SketchRoundsReference(const MethodReferenceOptions& options,
                        const SketchReferenceOptions& sketch);

  // What was put in and not taken out, by worker.
  const std::vector<ReferenceLedger>& ledgers() const { return ledgers_; }

 protected:
  // The round's input for an element.
  virtual float Input(size_t worker, size_t element) = 0;
  // By which an element counts in the sketch.
  virtual float Weight(size_t) const { return 1.0f; }
  // The mean of a chosen element's sums.
  virtual void Update(size_t element, float value) = 0;
  // A worker's share of a chosen element has left its sum.
  virtual void TakeOut(size_t, size_t) {}

  void CompressedChunk(size_t group) override;
  void EndRound() override;

 private:
  struct Candidate {
    size_t element = 0;
    float value = 0;
    std::vector<float> shares;  // by worker
    std::vector<bool> counted;  // by worker
  };

  std::vector<float> Weighted(size_t worker, size_t group) const;
  void SecondHalf(size_t group, const std::vector<size_t>& candidates,
                  const std::vector<bool>& takes_part);

  const SketchReferenceOptions sketch_;
  std::vector<ReferenceLedger> ledgers_;
  std::vector<Candidate> candidates_;  // of this round, of all groups
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_SKETCH_ROUNDS_REFERENCE_H_
