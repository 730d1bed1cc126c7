// A client without a run, for tests of what trainers do with one.
#ifndef TALLY_TESTS_UTIL_COUNTING_CLIENT_H_
#define TALLY_TESTS_UTIL_COUNTING_CLIENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/client.h"
#include "client/exchanger.h"
#include "client/inheritance.h"
#include "client/undone_contribution.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// Plays no rounds: it counts what it is asked, and gives what it was told to. Not thread-safe.
class CountingClient final : public Client {
 public:
  explicit CountingClient(const Layout* layout) : layout_(*layout) {}

  const Layout& layout() const override { return layout_; }
  uint64_t run_seed() const override { return 0; }
  absl::string_view worker() const override { return "w-0"; }
  uint64_t next_round() const override { return 0; }
  absl::Status StartRound() override { return absl::OkStatus(); }
  absl::Status Contribute(uint32_t, const Exchange&, Buffer) override { return absl::OkStatus(); }
  absl::Status Abstain(uint32_t, const Exchange&) override { return absl::OkStatus(); }
  absl::StatusOr<ChunkResult> NextResult() override { return ChunkResult(); }
  absl::StatusOr<absl::optional<ChunkResult>> PollResult() override { return absl::nullopt; }
  absl::Status Leave() override {
    left = true;
    return absl::OkStatus();
  }
  absl::Status Leave(absl::Span<const float> residual) override {
    handed_over.assign(residual.begin(), residual.end());
    return Leave();
  }
  std::vector<Inheritance> TakeInheritances() override { return std::exchange(inheritances, {}); }
  std::vector<UndoneContribution> TakeUndone() override { return std::exchange(undone, {}); }
  const Buffer* joined_state() const override { return nullptr; }
  bool state_wanted() const override { return false; }
  absl::Status GiveState(Buffer) override { return absl::OkStatus(); }
  bool replica_digest_wanted() const override { return true; }
  void TellReplicaDigest(uint64_t digest) override { replica_digest = digest; }
  std::vector<std::string> drifted_workers() const override { return drifted; }
  void SaveNextRound() override { ++announced; }
  absl::StatusOr<std::string> SaveRun() override { return saved_run; }
  ClientStatistics statistics() const override { return traffic; }
  std::string waiting_for() const override { return ""; }

  bool left = false;
  std::vector<float> handed_over;
  std::vector<Inheritance> inheritances;
  std::vector<UndoneContribution> undone;
  int announced = 0;
  uint64_t replica_digest = 0;
  std::vector<std::string> drifted;
  absl::StatusOr<std::string> saved_run = std::string("run");
  ClientStatistics traffic;

 private:
  const Layout& layout_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_COUNTING_CLIENT_H_
