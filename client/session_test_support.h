// A run as this folder's tests see it: a worker's options, and the messages of its aggregators.
#ifndef TALLY_CLIENT_SESSION_TEST_SUPPORT_H_
#define TALLY_CLIENT_SESSION_TEST_SUPPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "client/checked_result.h"
#include "client/client_options.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/roster.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// Chunks of 256 elements, the last one dense.
Layout LayoutOfChunks(size_t num_chunks);

// Worker "w-1" of job "bert" with aggregators "agg-0", "agg-1"... at "host-0:7000"...
ClientOptions OptionsOf(size_t num_aggregators, size_t num_chunks);

// Worker "w-1", incarnation 11; and "w-2", incarnation 22.
MemberId Self();
MemberId Other();

// A payload of `exchange` for the chunk: zeros are valid in every codec.
SharedBuffer ZeroPayload(const Exchange& exchange, const Layout& layout, size_t chunk);

// Makes the results of a run with workers Self() and Other() as its aggregators would.
class ResultMaker {
 public:
  explicit ResultMaker(const ClientOptions& options);

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

  const ClientOptions options_;
  std::vector<Head> heads_;
};

// What an aggregator answers to Hello.
v1::Welcome WelcomeFrom(const std::string& aggregator, uint32_t window_chunks = 4,
                        uint64_t instance = 1);

}  // namespace tally

#endif  // TALLY_CLIENT_SESSION_TEST_SUPPORT_H_
