// One number that says whether two models are the same.
#ifndef TALLY_EXAMPLES_PARAMETERS_DIGEST_H_
#define TALLY_EXAMPLES_PARAMETERS_DIGEST_H_

#include <cstdint>

#include "absl/types/span.h"
#include "base/digest.h"

namespace tally {

// The digest of the parameters' bytes: equal for models that agree in every bit.
inline uint64_t ParametersDigest(absl::Span<const float> parameters) {
  return Digest64(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(parameters.data()),
                                      parameters.size() * sizeof(float)));
}

}  // namespace tally

#endif  // TALLY_EXAMPLES_PARAMETERS_DIGEST_H_
