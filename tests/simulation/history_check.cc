#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/exchange_task.h"
#include "aggregator/residual.h"
#include "base/status_macros.h"
#include "codecs/exchange.h"
#include "codecs/roster.h"
#include "kernels/host_backends.h"
#include "tests/simulation/scripted_payload.h"
#include "tests/simulation/simulated_job.h"

namespace tally {

absl::Status CheckHistory(const SimulationOptions& options, uint32_t chunk,
                          const std::vector<AppliedEntry>& history) {
  const auto description = std::make_shared<const JobDescription>(
      JobDescription{.seed = kSimulatedSeed, .layout = SimulatedLayout(options.dealt)});
  std::vector<MemberId> members;
  for (uint32_t w = 0; w < options.workers; ++w) members.push_back(SimulatedMember(w));
  TALLY_ASSIGN_OR_RETURN(Roster roster, Roster::Create(0, std::move(members)));
  std::shared_ptr<Residual> residual;
  uint64_t chain = 0;
  for (const AppliedEntry& entry : history) {
    const auto wrong = [&](absl::string_view what) {
      return absl::DataLossError(
          absl::StrCat("chunk ", chunk, ", ", PlaceName(entry.place), ": ", what));
    };
    const v1::ResultHeader& header = entry.header;
    if (chain != 0 && header.prev_chain() != chain) return wrong("does not follow");
    if (header.residual_rebased()) residual = nullptr;
    TALLY_ASSIGN_OR_RETURN(const std::vector<MemberId> participants,
                           roster.Participants(header.participants()));
    if (header.has_exchange()) {
      ExchangeTask task{
          .chunk = chunk, .place = entry.place, .description = description, .exchange = {}};
      TALLY_ASSIGN_OR_RETURN(task.exchange,
                             DecodeExchange(header.exchange(), description->layout, chunk));
      for (const MemberId& member : participants) {
        // The first entry stands on the genesis, of which scripts know nothing.
        const uint64_t seed =
            ScriptSeed(options.seed, member.worker, chunk, entry.place.half, chain);
        task.payloads.push_back(std::make_shared<const Buffer>(
            ScriptedPayload(task.exchange, description->layout, chunk, seed)));
      }
      task.divisor = static_cast<uint32_t>(
          task.exchange.divisor == Divisor::kRoster ? roster.size() : participants.size());
      if (absl::holds_alternative<SignExchange>(task.exchange.kind)) {
        if (residual == nullptr) {
          residual = std::make_shared<Residual>(description->layout.chunks()[chunk].num_elements);
        }
        task.residual = residual;
      }
      TALLY_ASSIGN_OR_RETURN(const ExchangeOutcome outcome,
                             RunExchange(task, *HostBackends().front()));
      if (outcome.payload_digest != header.payload_digest()) return wrong("other payload");
    }
    if (header.tracking_rebase()) residual = nullptr;
    TALLY_ASSIGN_OR_RETURN(roster, roster.After(header));
    chain = entry.chain;
  }
  return absl::OkStatus();
}

}  // namespace tally
