#include "client/client_options.h"

#include <functional>
#include <string>
#include <vector>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

ClientOptions ValidOptions() {
  ClientOptions options;
  options.job = "bert";
  options.worker = "w-1";
  options.aggregators = {{"agg-0", "host-0:7000"}, {"agg-1", "unix:/tmp/agg-1"}};
  options.layout = *Layout::Create({{"weights", 1000}});
  return options;
}

TEST(ClientOptionsTest, AcceptsDefaultsWithNamesAndLayout) {
  EXPECT_THAT(ValidateClientOptions(ValidOptions()), IsOk());
}

TEST(ClientOptionsTest, NamesTheFieldTheValueAndTheRule) {
  const std::string long_name(kMaxNameBytes + 1, 'x');
  const struct {
    std::string words;
    std::function<void(ClientOptions&)> spoil;
  } rows[] = {
      {"`job` has 0 bytes, must have 1 to 255", [](auto& o) { o.job.clear(); }},
      {"`job` has 256 bytes", [&](auto& o) { o.job = long_name; }},
      {"`worker` has 0 bytes", [](auto& o) { o.worker.clear(); }},
      {"`worker` has 256 bytes", [&](auto& o) { o.worker = long_name; }},
      {"`worker` is not UTF-8", [](auto& o) { o.worker = "w\xff"; }},
      {"`aggregators` has 0 entries, must have 1 to 1024", [](auto& o) { o.aggregators.clear(); }},
      {"`aggregators` has 1025 entries", [](auto& o) { o.aggregators.resize(1025); }},
      {"`aggregators[1].name` has 0 bytes", [](auto& o) { o.aggregators[1].name.clear(); }},
      {"`aggregators[1].name` = agg-0, must be unique",
       [](auto& o) { o.aggregators[1].name = "agg-0"; }},
      {"`aggregators[0].address` is empty", [](auto& o) { o.aggregators[0].address.clear(); }},
      {"`layout` is unset", [](auto& o) { o.layout.reset(); }},
      {"`expected_workers` = 0, must be from 1 to 65536", [](auto& o) { o.expected_workers = 0; }},
      {"`expected_workers` = 65537", [](auto& o) { o.expected_workers = 65'537; }},
      {"`roster_limit` = 3, must be 0 or from 4 to 65536",
       [](auto& o) {
         o.expected_workers = 4;
         o.roster_limit = 3;
       }},
      {"`roster_limit` = 65537", [](auto& o) { o.roster_limit = 65'537; }},
      {"`first_round` = 9007199254740993", [](auto& o) { o.first_round = kMaxRound + 1; }},
      {"`start_timeout` = 0, must be positive",
       [](auto& o) { o.start_timeout = absl::ZeroDuration(); }},
      {"`aggregator_timeout` = -1s", [](auto& o) { o.aggregator_timeout = absl::Seconds(-1); }},
      {"`heartbeat_interval` = inf",
       [](auto& o) { o.heartbeat_interval = absl::InfiniteDuration(); }},
      {"`faults` has cut = 0, delay = 0, kill = inf, must have positive means",
       [](auto& o) { o.faults.cut = absl::ZeroDuration(); }},
      {"`faults` has cut = inf, delay = -1s", [](auto& o) { o.faults.delay = absl::Seconds(-1); }},
      {"kill = -1s", [](auto& o) { o.faults.kill = absl::Seconds(-1); }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.words);
    ClientOptions options = ValidOptions();
    row.spoil(options);
    EXPECT_THAT(ValidateClientOptions(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.words)));
  }
}

}  // namespace
}  // namespace tally
