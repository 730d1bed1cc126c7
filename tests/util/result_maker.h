// Results as an aggregator makes them, for tests of whoever reads them.
#ifndef TALLY_TESTS_UTIL_RESULT_MAKER_H_
#define TALLY_TESTS_UTIL_RESULT_MAKER_H_

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "codecs/checked_result.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/roster.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// Chunks of 256 elements, the last one dense, with 10.
Layout LayoutOfChunks(size_t num_chunks);

// Worker "w-1", incarnation 11; and "w-2", incarnation 22.
MemberId Self();
MemberId Other();

// A payload of `exchange` for the chunk: zeros are valid in every codec.
SharedBuffer ZeroPayload(const Exchange& exchange, const Layout& layout, size_t chunk);

// What a run's first entries say.
struct TestRun {
  uint64_t run = 7;
  uint64_t seed = 77;
  uint64_t initial_state_digest = 777;
  v1::JobSettings settings;
};

// Makes the results of a run with workers Self() and Other().
class ResultMaker {
 public:
  ResultMaker(Layout layout, TestRun run);

  // The chunk's genesis; `roster` is sorted.
  v1::ResultHeader GenesisOf(uint32_t chunk, std::vector<MemberId> roster = {Self(), Other()});
  // The chunk's next entry, in which these take part; its payload is ZeroPayload.
  v1::ResultHeader NextOf(uint32_t chunk, const Exchange& exchange,
                          const std::vector<MemberId>& participants = {Self(), Other()});

  // Makes `header` the chunk's last entry and returns it as it is checked, or as it is sent.
  CheckedResult Checked(const v1::ResultHeader& header);
  v1::ServerMessage Sent(const v1::ResultHeader& header);

 private:
  struct Head {
    uint64_t next_round;
    uint64_t chain = 0;
    Roster roster;
  };

  void MoveTo(const v1::ResultHeader& header);

  Layout layout_;
  TestRun run_;
  std::vector<Head> heads_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_RESULT_MAKER_H_
