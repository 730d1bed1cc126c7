#include "tests/util/hello_builder.h"

#include "base/check.h"
#include "codecs/duration.h"
#include "codecs/layout_codec.h"
#include "codecs/limits.h"

namespace tally {

HelloBuilder::HelloBuilder() {
  hello_.set_version(kProtocolVersion);
  hello_.set_seed(42);
  hello_.set_initial_state_digest(0xabc);
  Job("job", 7).Worker("w-0").Intent(v1::INTENT_START).ExpectedWorkers(1);
  Aggregators({"agg-0"}, 0);
  const absl::StatusOr<Layout> layout = Layout::Create({{"weights", 1024}}, 512);
  TALLY_CHECK(layout.ok(), layout.status().ToString());
  WithLayout(*layout);
}

HelloBuilder& HelloBuilder::Job(const std::string& job, uint64_t run) {
  hello_.set_job(job);
  hello_.set_run(run);
  return *this;
}

HelloBuilder& HelloBuilder::Worker(const std::string& worker, uint64_t incarnation) {
  hello_.mutable_member()->set_worker(worker);
  hello_.mutable_member()->set_incarnation(incarnation);
  return *this;
}

HelloBuilder& HelloBuilder::Intent(v1::Intent intent) {
  hello_.set_intent(intent);
  return *this;
}

HelloBuilder& HelloBuilder::ExpectedWorkers(uint32_t expected_workers) {
  hello_.mutable_settings()->set_expected_workers(expected_workers);
  return *this;
}

HelloBuilder& HelloBuilder::RosterLimit(uint32_t roster_limit) {
  hello_.mutable_settings()->set_roster_limit(roster_limit);
  return *this;
}

HelloBuilder& HelloBuilder::FirstRound(uint64_t first_round) {
  hello_.mutable_settings()->set_first_round(first_round);
  return *this;
}

HelloBuilder& HelloBuilder::StartTimeout(absl::Duration timeout) {
  *hello_.mutable_settings()->mutable_start_timeout() = EncodeDuration(timeout);
  return *this;
}

HelloBuilder& HelloBuilder::MaxLate(uint32_t max_late, absl::Duration ceiling) {
  hello_.mutable_settings()->set_max_late(max_late);
  *hello_.mutable_settings()->mutable_late_ceiling() = EncodeDuration(ceiling);
  return *this;
}

HelloBuilder& HelloBuilder::WithLayout(const Layout& layout) {
  *hello_.mutable_layout() = EncodeLayout(layout);
  return *this;
}

HelloBuilder& HelloBuilder::Aggregators(const std::vector<std::string>& names, uint32_t index) {
  hello_.clear_aggregators();
  for (const std::string& name : names) hello_.add_aggregators(name);
  hello_.set_aggregator_index(index);
  return *this;
}

HelloBuilder& HelloBuilder::Head(uint32_t chunk, uint64_t round, uint64_t chain) {
  v1::ChunkProgress& progress = *hello_.add_chunks();
  progress.set_chunk(chunk);
  progress.mutable_head()->set_round(round);
  progress.mutable_head()->set_chain(chain);
  return *this;
}

}  // namespace tally
