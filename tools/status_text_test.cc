#include "tools/status_text.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

v1::GetStatusResponse Example() {
  v1::GetStatusResponse status;
  status.set_aggregator("agg-0");
  status.mutable_uptime()->set_seconds(754);
  status.set_memory_limit_bytes(uint64_t{2} << 30);
  status.set_admitted_bytes(5 << 20);
  status.set_backend("simd");
  return status;
}

void AddMember(const std::string& worker, bool connected, int silent_ms, v1::JobStatus* job) {
  v1::MemberStatus& member = *job->add_members();
  member.mutable_member()->set_worker(worker);
  member.set_connected(connected);
  member.mutable_silent_for()->set_seconds(silent_ms / 1000);
  member.mutable_silent_for()->set_nanos(silent_ms % 1000 * 1'000'000);
}

void AddChunk(uint32_t chunk, int waiting_ms, v1::JobStatus* job) {
  v1::ChunkStatus& status = *job->add_chunks();
  status.set_chunk(chunk);
  status.set_phase(v1::CHUNK_PHASE_OPEN);
  status.set_round(812);
  status.set_arrived(1);
  status.set_roster_size(3);
  status.add_waiting_for("w-5");
  status.add_waiting_for("w-6");
  status.mutable_waiting_since()->set_seconds(waiting_ms / 1000);
  status.mutable_waiting_since()->set_nanos(waiting_ms % 1000 * 1'000'000);
}

TEST(FormatStatusTest, SaysWhenThereIsNoJob) {
  EXPECT_EQ(FormatStatus(Example()),
            "agg-0: up 12m34s, memory 5MiB of 2GiB admitted, back end simd\n"
            "  no jobs\n");
}

TEST(FormatStatusTest, SaysWhatAJobWaitsFor) {
  v1::GetStatusResponse status = Example();
  v1::JobStatus& job = *status.add_jobs();
  job.set_job("bert");
  job.set_run(7);
  job.set_reason("round 812, chunk 3: waiting for worker w-5, silent for 4.2 s");
  job.set_num_chunks(14);
  job.set_admitted_bytes(5 << 20);
  job.set_contributions_offered(21);
  job.set_contributions_counted(15);
  job.set_contributions_late(1);
  job.add_drifted("w-3");
  job.set_contributions_abstained(2);
  job.set_contributions_pending(3);
  AddMember("w-0", true, 900, &job);
  AddMember("w-5", true, 4200, &job);
  AddMember("w-6", false, 0, &job);
  job.add_observers()->mutable_member()->set_worker("w-9");
  job.mutable_observers(0)->set_connected(true);
  AddChunk(3, 4200, &job);
  AddChunk(4, 4100, &job);
  EXPECT_EQ(FormatStatus(status),
            "agg-0: up 12m34s, memory 5MiB of 2GiB admitted, back end simd\n"
            "  job bert, run 7: round 812, chunk 3: waiting for worker w-5, silent for 4.2 s\n"
            "    2 of 14 chunks at round 812 (open), 1 of 3 contributions there; waiting for w-5, "
            "w-6, 4.2s so far\n"
            "    members: w-0, w-5 (silent for 4.2s), w-6 (not connected)\n"
            "    observers: w-9\n"
            "    drifted away: w-3: their replicated state is another than that of most\n"
            "    contributions: 21 offered, 15 counted, 1 late, 2 abstained, 0 refused, 3 pending\n"
            "    memory: 5MiB\n");
}

TEST(FormatStatusTest, ChunksThatWaitDifferentlyHaveLinesOfTheirOwn) {
  v1::GetStatusResponse status = Example();
  v1::JobStatus& job = *status.add_jobs();
  job.set_num_chunks(3);
  AddChunk(0, 0, &job);
  AddChunk(1, 0, &job);
  job.mutable_chunks(1)->set_phase(v1::CHUNK_PHASE_SEALED);
  job.mutable_chunks(1)->clear_waiting_for();
  job.mutable_chunks(1)->set_arrived(3);
  const std::string text = FormatStatus(status);
  EXPECT_THAT(text, HasSubstr("1 of 3 chunks at round 812 (open), 1 of 3 contributions there; "));
  EXPECT_THAT(text, HasSubstr("1 of 3 chunks at round 812 (sealed), 3 of 3 contributions there\n"));
}

TEST(FormatStatusTest, SaysThatItDrains) {
  v1::GetStatusResponse status = Example();
  status.set_draining(true);
  EXPECT_THAT(FormatStatus(status), HasSubstr(", draining\n"));
}

}  // namespace
}  // namespace tally
