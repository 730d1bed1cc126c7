#include "codecs/draw_key.h"

#include <string>

#include "base/digest.h"

namespace tally {

uint64_t DrawKey(uint64_t run_seed, DrawRole role, absl::string_view worker) {
  std::string bytes(sizeof(run_seed), 0);
  for (size_t i = 0; i < sizeof(run_seed); ++i) bytes[i] = static_cast<char>(run_seed >> (8 * i));
  bytes.push_back(static_cast<char>(role));
  bytes.append(worker.data(), worker.size());
  return Digest64(bytes);
}

}  // namespace tally
