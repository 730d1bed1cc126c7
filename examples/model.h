// What a trainer asks of a model.
#ifndef TALLY_EXAMPLES_MODEL_H_
#define TALLY_EXAMPLES_MODEL_H_

#include <cstddef>

#include "absl/types/span.h"
#include "client/client_options.h"
#include "examples/text_data.h"

namespace tally {

// A language model over characters whose parameters and gradients each lie in one flat vector, in
// the order of its layout, so that an optimizer works on them in place. Not thread-safe.
class Model {
 public:
  virtual ~Model() = default;

  virtual const Layout& layout() const = 0;

  // Characters per window of the batches that it takes: those it reads, and the one after them.
  virtual size_t window_length() const = 0;

  // [layout().num_elements()]; initialised, the same for the same seed.
  virtual absl::Span<float> parameters() = 0;
  // [layout().num_elements()]; of the last ComputeGradients.
  virtual absl::Span<const float> gradients() const = 0;

  // Returns the mean loss of the batch in nats per predicted character, and sets the gradients to
  // its derivatives. `batch` holds at least one window, of window_length() symbols of the
  // vocabulary.
  virtual double ComputeGradients(const TextWindows& batch) = 0;

  // The same loss without gradients.
  virtual double Loss(const TextWindows& batch) = 0;
};

}  // namespace tally

#endif  // TALLY_EXAMPLES_MODEL_H_
