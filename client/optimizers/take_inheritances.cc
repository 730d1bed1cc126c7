#include "client/optimizers/take_inheritances.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/types/span.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/inheritance.h"
#include "codecs/layout.h"

namespace tally {

absl::Status TakeInheritances(Client* client, Optimizer* optimizer) {
  const ScopedFloatEnvironment float_environment;
  const Layout& layout = client->layout();
  for (const Inheritance& inheritance : client->TakeInheritances()) {
    const Layout::Chunk& chunk = layout.chunks()[inheritance.chunk];
    std::vector<float> values(chunk.num_elements);
    std::memcpy(values.data(), inheritance.payload->data(), values.size() * sizeof(float));
    const size_t stretch = chunk.dealt ? kDealtBlockElements : values.size();
    for (size_t begin = 0; begin < values.size(); begin += stretch) {
      const uint64_t offset =
          chunk.dealt ? layout.dealing()->ElementOf(inheritance.chunk, begin) : chunk.offset;
      const absl::Status status =
          optimizer->Inherit(offset, absl::MakeConstSpan(values).subspan(begin, stretch));
      // Another worker's mistake must not end this one.
      if (absl::IsFailedPrecondition(status)) break;
      TALLY_RETURN_IF_ERROR(status);
    }
  }
  return absl::OkStatus();
}

}  // namespace tally
