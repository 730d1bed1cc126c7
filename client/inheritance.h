// What a worker that left has handed to this one.
#ifndef TALLY_CLIENT_INHERITANCE_H_
#define TALLY_CLIENT_INHERITANCE_H_

#include <cstdint>
#include <string>

#include "base/buffer.h"

namespace tally {

// A leaver's residual of one chunk.
struct Inheritance {
  std::string leaver;
  uint32_t chunk = 0;
  SharedBuffer payload;  // [num_elements of the chunk] fp32
};

}  // namespace tally

#endif  // TALLY_CLIENT_INHERITANCE_H_
