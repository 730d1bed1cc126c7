// What a simulated worker keeps to itself.
#ifndef TALLY_TESTS_SIMULATION_PRIVATE_STATE_H_
#define TALLY_TESTS_SIMULATION_PRIVATE_STATE_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/inheritance.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/place.h"

namespace tally {

// Of a chunk either the residual of a method that conserves what is put in (signs, sparse and dense
// values, the second half of a sketch round; votes keep nothing), or what a tracking method
// believes that the others know of its input. Inputs are multiples of 1/64 and scales powers of
// two, so that the books of residuals are exact in fp32.
class PrivateState {
 public:
  // `layout` must outlive it.
  explicit PrivateState(const Layout* layout);

  // Draws an input from `seed`, puts it in, and packs what is to be sent.
  Buffer Contribute(const Exchange& exchange, uint32_t chunk, uint64_t seed);
  // For the second half of a sketch round: nothing is put in.
  Buffer ContributeValues(const Exchange& exchange, uint32_t chunk,
                          absl::Span<const uint32_t> candidates);
  // The chunk's last contribution, which was for the exchange at `place`; that it counts is known
  // only now.
  void TakeOut(uint32_t chunk, const Place& place);
  // What was taken out then: a crash undid the exchange.
  void PutBack(uint32_t chunk, const Place& place);
  // A tracked chunk starts anew from what all share.
  void Rebase(uint32_t chunk, absl::Span<const float> shared);
  void Inherit(const Inheritance& inheritance);

  // [num_elements of the layout] The residuals; tracked chunks are zero.
  std::vector<float> residual() const;
  // What was put in and inherited, less the residual: what was taken out.
  std::vector<double> TakenOut(uint32_t chunk) const;
  // [num_elements] What was taken out when that exchange was known to count it; empty: nothing was.
  absl::Span<const float> TakenAt(uint32_t chunk, const Place& place) const;
  // Of a tracked chunk.
  const std::vector<float>& tracked(uint32_t chunk) const { return chunks_[chunk].kept; }

 private:
  struct Chunk {
    std::vector<float> kept;    // the residual, or what is tracked
    std::vector<float> packed;  // what the last contribution stands for; empty: nothing
    std::map<Place, std::vector<float>> taken;
    std::vector<double> put_in;
  };

  const Layout* layout_;
  std::vector<Chunk> chunks_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_PRIVATE_STATE_H_
