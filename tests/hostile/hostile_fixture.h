// A real server with a run of three workers, one of which is about to break a rule.
#ifndef TALLY_TESTS_HOSTILE_HOSTILE_FIXTURE_H_
#define TALLY_TESTS_HOSTILE_HOSTILE_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "aggregator/server/server.h"
#include "base/clock.h"
#include "codecs/layout.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "proto/tally/v1/status.pb.h"
#include "tests/util/raw_worker.h"

namespace tally {

// Of HostileTest: 2 MiB of fp32, so that a chunk takes more than one slice.
inline constexpr uint32_t kHostileChunkElements = 1 << 19;

// What somebody does, and the typed error that it earns.
struct Offence {
  const char* name;
  absl::StatusCode code;
  // Field, value and rule.
  std::string message;
};

// An aggregator with a run that has started, over any layout. Two of its three workers are good.
class HostileRunTest : public testing::Test {
 protected:
  // A roster limit of 0 is as many as are expected.
  explicit HostileRunTest(const Layout& layout, uint32_t roster_limit = 0);

  v1::Hello HelloOf(const std::string& worker) const;
  // What the aggregator says of the run.
  absl::StatusOr<v1::JobStatus> GetStatus() const;
  // Waits for the result of the chunk's open exchange on every worker: the same bytes for all, with
  // these participants in the header. Returns the first worker's.
  const RawWorker::Result& AwaitSameResult(uint32_t chunk, const std::string& participants);

  const Layout layout_;
  const uint32_t roster_limit_;
  const RealClock clock_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<RawWorker>> workers_;
  RawWorker* first_ = nullptr;
  RawWorker* second_ = nullptr;
  RawWorker* third_ = nullptr;  // the bad one
};

// The same with two dense chunks; chunk 0 is in its second round.
class HostileTest : public HostileRunTest {
 protected:
  HostileTest();

  // What the good workers contribute to the open round of chunk 0.
  void ContributeWithoutThird();
  // All workers get the same bytes for their open round of the chunk, this value everywhere, with
  // all three in the header.
  void ExpectResult(uint32_t chunk, float value);
  // The round that was under way during the offence ends with the third worker, and one more does.
  void ExpectRoundsGoOn();
};

}  // namespace tally

#endif  // TALLY_TESTS_HOSTILE_HOSTILE_FIXTURE_H_
