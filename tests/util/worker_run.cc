#include "tests/util/worker_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "codecs/duration.h"

namespace tally {
namespace {

v1::JobSettings SettingsOf(const ClientOptions& options) {
  v1::JobSettings settings;
  settings.set_expected_workers(options.expected_workers);
  settings.set_roster_limit(std::max(options.roster_limit, options.expected_workers));
  settings.set_first_round(options.first_round);
  settings.set_snapshot_interval(options.snapshot_interval);
  if (options.max_late > 0) {
    settings.set_max_late(options.max_late);
    *settings.mutable_late_ceiling() = EncodeDuration(options.late_ceiling);
  }
  return settings;
}

}  // namespace

ClientOptions OptionsOf(size_t num_aggregators, size_t num_chunks) {
  ClientOptions options;
  options.job = "bert";
  options.worker = Self().worker;
  for (size_t i = 0; i < num_aggregators; ++i) {
    options.aggregators.push_back({absl::StrCat("agg-", i), absl::StrCat("host-", i, ":7000")});
  }
  options.layout = LayoutOfChunks(num_chunks);
  options.expected_workers = 2;
  options.run = 7;
  options.seed = 77;
  options.initial_state_digest = 777;
  return options;
}

TestRun RunOf(const ClientOptions& options) {
  return {.run = options.run,
          .seed = options.seed,
          .initial_state_digest = options.initial_state_digest,
          .settings = SettingsOf(options)};
}

v1::Welcome WelcomeFrom(const std::string& aggregator, uint32_t window_chunks, uint64_t instance) {
  v1::Welcome welcome;
  welcome.set_aggregator(aggregator);
  welcome.mutable_instance()->set_start_us(instance);
  welcome.mutable_instance()->set_random(instance);
  welcome.set_verdict(v1::Welcome::VERDICT_MEMBER);
  welcome.set_window_chunks(window_chunks);
  welcome.mutable_silence_limit()->set_seconds(30);
  return welcome;
}

}  // namespace tally
