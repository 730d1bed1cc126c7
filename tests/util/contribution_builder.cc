#include "tests/util/contribution_builder.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/digest.h"
#include "codecs/slices.h"
#include "kernels/sign_block.h"

namespace tally {
std::string DensePayload(absl::Span<const float> values) {
  std::string payload(values.size() * sizeof(float), '\0');
  if (!values.empty()) std::memcpy(payload.data(), values.data(), payload.size());
  return payload;
}

std::string SignPayload(absl::Span<const float> scales, size_t num_elements,
                        const std::vector<size_t>& negative) {
  std::string bits(BitmapBytes(num_elements), '\0');
  const auto flip = [&bits](size_t element) {
    bits[element / 8] = static_cast<char>(bits[element / 8] ^ (1 << (element % 8)));
  };
  for (size_t element = 0; element < num_elements; ++element) flip(element);
  for (const size_t element : negative) flip(element);
  return DensePayload(scales) + bits;
}

Exchange DenseFloat32() { return {.kind = DenseExchange{}}; }

Exchange SignBlocks256() { return {.kind = SignExchange{.granularity = {.block_elements = 256}}}; }

void TestContribution::Sign() { message.set_payload_digest(Digest64(payload)); }

std::vector<v1::ClientMessage> TestContribution::Slices(size_t slice_bytes) const {
  std::vector<v1::ClientMessage> messages;
  for (const PayloadSlice& slice : CutIntoSlices(BytesOf(payload), slice_bytes)) {
    v1::ClientMessage& next = messages.emplace_back();
    v1::Contribution& contribution = *next.mutable_contribution();
    if (messages.size() == 1) {
      contribution = message;
    } else {
      contribution.set_chunk(message.chunk());
      contribution.set_round(message.round());
      contribution.set_half(message.half());
    }
    *contribution.mutable_slice() = slice.slice;
    next.set_payload(slice.piece.data(), slice.piece.size());
  }
  return messages;
}

TestContribution MakeContribution(const v1::Hello& hello, uint32_t chunk, uint64_t round,
                                  uint64_t prev_chain, const Exchange& exchange,
                                  std::string payload) {
  TestContribution contribution;
  contribution.payload = std::move(payload);
  v1::Contribution& message = contribution.message;
  message.set_chunk(chunk);
  message.set_round(round);
  message.set_run(hello.run());
  *message.mutable_member() = hello.member();
  message.set_prev_chain(prev_chain);
  *message.mutable_exchange() = EncodeExchange(exchange);
  contribution.Sign();
  return contribution;
}

TestContribution MakeAbstention(const v1::Hello& hello, uint32_t chunk, uint64_t round,
                                uint64_t prev_chain, const Exchange& exchange) {
  TestContribution contribution = MakeContribution(hello, chunk, round, prev_chain, exchange, "");
  contribution.message.set_abstain(true);
  contribution.message.clear_payload_digest();
  return contribution;
}

}  // namespace tally
