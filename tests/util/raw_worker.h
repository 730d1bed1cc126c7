// A worker that keeps to the protocol, message by message, until a test makes it break a rule.
#ifndef TALLY_TESTS_UTIL_RAW_WORKER_H_
#define TALLY_TESTS_UTIL_RAW_WORKER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/place.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/raw_stream.h"

namespace tally {

// Contributes over one stream at a time: dense values, or whatever a test gives it. Checks every
// result that it gets: digest, chain, slices. Not thread-safe.
class RawWorker {
 public:
  struct Result {
    v1::ResultHeader header;
    std::string header_bytes;
    std::string payload;
    std::vector<float> values;  // the payload as fp32; empty if there is none
  };

  // `hello` describes the run and `layout` its chunks; a stream is opened by Connect.
  RawWorker(int port, v1::Hello hello, const Layout& layout);

  // Opens a stream and says Hello: with INTENT_MEMBER and its heads if it has any.
  void Connect();
  // Takes messages until the Welcome. Nothing if the stream ended without one.
  absl::optional<v1::Welcome> AwaitWelcome();
  // Takes messages until every chunk has its genesis.
  void AwaitStart();

  // Contributes `value` for every element of the chunk to its open round.
  void Contribute(uint32_t chunk, float value);
  // What Contribute would send.
  TestContribution Contribution(uint32_t chunk, float value) const;
  // The same with another exchange's payload.
  TestContribution Contribution(uint32_t chunk, const Exchange& exchange,
                                std::string payload) const;
  void Send(const TestContribution& contribution);
  // Takes messages until the open round of the chunk, or the open half of it, has its result.
  const Result& AwaitResult(uint32_t chunk);

  // Takes messages until the Refusal that ends the stream. Checks that the stream ends with the
  // same status.
  absl::Status AwaitRefusal();
  // Says goodbye and ends the stream.
  absl::Status Leave();

  RawStream& stream() { return *stream_; }
  const v1::Hello& hello() const { return hello_; }
  // The Hello that Connect would send now.
  v1::Hello NextHello() const;
  // The exchange of the chunk that is open.
  const Place& next(uint32_t chunk) const { return heads_.at(chunk).next; }
  uint64_t next_round(uint32_t chunk) const { return next(chunk).round; }

 private:
  struct Head {
    Place newest_place;
    Place next;
    uint64_t chain = 0;
    Result newest;
  };

  // Takes one message and applies it if it is a result; nothing: the stream has ended.
  absl::optional<v1::ServerMessage> Take();
  void Apply(const v1::ServerMessage& message);

  const int port_;
  const v1::Hello hello_;
  const Layout layout_;
  std::unique_ptr<RawStream> stream_;
  std::map<uint32_t, Head> heads_;
  // The result that is coming in, in slices.
  v1::Result incoming_;
  std::string payload_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_RAW_WORKER_H_
