// Hellos for tests.
#ifndef TALLY_TESTS_UTIL_HELLO_BUILDER_H_
#define TALLY_TESTS_UTIL_HELLO_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "codecs/layout.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// A Hello that is right in every field, until a test makes one wrong: worker `w-0`/100 wants to
// start run 7 of job `job`, alone, at aggregator `agg-0`, the only one, with one compressed tensor
// of 1,024 elements in two chunks.
class HelloBuilder {
 public:
  HelloBuilder();

  HelloBuilder& Job(const std::string& job, uint64_t run);
  HelloBuilder& Worker(const std::string& worker, uint64_t incarnation = 100);
  HelloBuilder& Intent(v1::Intent intent);
  HelloBuilder& ExpectedWorkers(uint32_t expected_workers);
  HelloBuilder& RosterLimit(uint32_t roster_limit);
  HelloBuilder& FirstRound(uint64_t first_round);
  HelloBuilder& StartTimeout(absl::Duration timeout);
  HelloBuilder& MaxLate(uint32_t max_late, absl::Duration ceiling);
  HelloBuilder& WithLayout(const Layout& layout);
  HelloBuilder& Aggregators(const std::vector<std::string>& names, uint32_t index);
  // What the worker holds of a chunk's history.
  HelloBuilder& Head(uint32_t chunk, uint64_t round, uint64_t chain);

  v1::Hello Build() const { return hello_; }

 private:
  v1::Hello hello_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_HELLO_BUILDER_H_
