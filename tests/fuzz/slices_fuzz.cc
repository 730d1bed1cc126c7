// Input: a list of slices, each of them a flag byte, offset and total (two bytes each) and a length
// byte with as many bytes. A flag replaces an offset or total by the right one, so that inputs get
// far.
#include <algorithm>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "codecs/slices.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

constexpr uint64_t kMaxTotalBytes = 600;

// Reads numbers from the input, zeros past its end.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool done() const { return rest_.empty(); }
  uint8_t Byte() {
    const absl::Span<const uint8_t> byte = Bytes(1);
    return byte.empty() ? 0 : byte[0];
  }
  absl::Span<const uint8_t> Bytes(size_t count) {
    const absl::Span<const uint8_t> bytes = rest_.subspan(0, count);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

 private:
  absl::Span<const uint8_t> rest_;
};

}  // namespace

std::vector<std::string> SeedInputs() {
  // Begin with 3 of 5 bytes, continue with 2.
  return {
      std::string("\x01\x00\x00\x05\x00\x03"
                  "abc"
                  "\x06\x00\x00\x00\x00\x02"
                  "de",
                  17)};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  Script script(data, size);
  SliceAssembler assembler;
  // What the assembler must hold, and how much of it is to come in all.
  std::vector<uint8_t> expected;
  uint64_t expected_total = 0;
  while (!script.done()) {
    const uint8_t flags = script.Byte();
    uint64_t offset = script.Byte();
    offset += uint64_t{256} * script.Byte();
    uint64_t total = script.Byte();
    total += uint64_t{256} * script.Byte();
    const absl::Span<const uint8_t> piece = script.Bytes(script.Byte());
    const bool begin = flags & 1;
    if (flags & 2) offset = expected.size();
    if (flags & 4) total = expected_total;
    v1::Slice slice;
    slice.set_offset_bytes(offset);
    slice.set_total_bytes(total);

    const bool was_in_progress = assembler.in_progress();
    const bool ok =
        (begin ? assembler.Begin(slice, piece, kMaxTotalBytes) : assembler.Continue(slice, piece))
            .ok();
    if (ok) {
      TALLY_CHECK(begin != was_in_progress, "order");
      TALLY_CHECK(offset == expected.size() && total <= kMaxTotalBytes, "place");
      expected.insert(expected.end(), piece.begin(), piece.end());
      expected_total = total;
    }
    TALLY_CHECK(assembler.in_progress() == (was_in_progress || ok), "state");
    TALLY_CHECK(expected.size() <= expected_total, "size");
    TALLY_CHECK(
        assembler.complete() == (assembler.in_progress() && expected.size() == expected_total),
        "completeness");
    if (!assembler.complete()) continue;
    const Buffer payload = assembler.Take();
    TALLY_CHECK(payload.bytes() == absl::MakeConstSpan(expected), "content");
    expected.clear();
    expected_total = 0;
  }
  return 0;
}
