#!/usr/bin/env bash
# Shows that bugs are caught: plants one at a time, plays the simulation's named scenarios and then
# schedules of faults until one breaks an invariant, and takes the bug out again. Bugs of optimizers,
# and some that schedules meet too seldom, are looked for by a named test instead. Fails if a bug
# survives.
#   tools/planted_bugs.sh [SECONDS [WORDS]]     for how long each is searched at most (60); only those with
#                                               these words in their names
# The files that it changes must have no uncommitted changes.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-60}"
if ! [[ "${seconds}" =~ ^[1-9][0-9]{0,4}$ ]]; then
  echo "usage: tools/planted_bugs.sh [SECONDS [WORDS]], a whole number" >&2
  exit 2
fi
words="${2:-}"
# The file that holds a bug now; empty: none does.
planted=""
restore() {
  [[ -z "${planted}" ]] || git checkout --quiet -- "${planted}"
  planted=""
}
trap restore EXIT

survivors=0

# plant NAME FILE FROM TO [TEST]: puts TO where FROM stands in the file, both taken word for word. The
# simulation must find it, or TEST.
plant() {
  local name="$1" file="$2" test="${5:-}" binary found
  [[ "${name}" == *"${words}"* ]] || return 0
  if [[ -n "$(git status --porcelain -- "${file}")" ]]; then
    echo "planted_bugs.sh: ${file} must have no uncommitted changes" >&2
    exit 1
  fi
  planted="${file}"
  FROM="$3" TO="$4" perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/ or die "does not stand there\n"' "${file}"
  if ! bazel build --noshow_progress ${test:-//tests/simulation:soak //tests/simulation:scenarios_test} \
    >/dev/null 2>&1; then
    echo "planted_bugs.sh: \"${name}\" does not compile" >&2
    exit 1
  fi
  if [[ -n "${test}" ]]; then
    if bazel test --noshow_progress "${test}" >/dev/null 2>&1; then
      echo "SURVIVED  ${name}"
      survivors=$((survivors + 1))
    else
      echo "caught    ${name}"
      echo "          ${test}"
    fi
    restore
    return
  fi
  binary="$(bazel info --noshow_progress bazel-bin 2>/dev/null)/tests/simulation"
  if ! found="$(timeout "${seconds}" "${binary}/scenarios_test" --gtest_fail_fast 2>&1)" &&
    found="$(grep -m 1 "FAILED" <<<"${found}")"; then
    echo "caught    ${name}"
    echo "          ${found}"
  elif found="$("${binary}/soak" --first_seed=0 --seconds="${seconds}" 2>&1)"; then
    echo "SURVIVED  ${name}"
    survivors=$((survivors + 1))
  else
    echo "caught    ${name}"
    echo "          $(tail -n 1 <<<"${found}" | cut -c1-160)"
  fi
  restore
}

plant "contributions are dropped after a few entries, whatever the floor" client/chunk_archive.h \
  "max_entries_(2 * size_t{snapshot_interval} + " "max_entries_(0 * size_t{snapshot_interval} + "
plant "the second half of a sketch round is forgotten by a crash" aggregator/chunk_round.cc \
  "Open(PlaceAfter(sealed_header_), now);" "Open({sealed_header_.round() + 1, 0}, now);"
plant "a snapshot stands for the residual after the head" aggregator/chunk_folding.cc \
  "  fold_position_ = 1;" "  fold_position_ = headers_.size();"
plant "who left lately is not waited for" aggregator/chunk_recovery.cc \
  "if (!is_here && !is_dead) absent_.push_back(member);" "if (is_here && is_dead) absent_.push_back(member);" \
  //aggregator:chunk_recovery_leavers_test
plant "a contribution whose result its worker lacks is not replayed" client/session_replay.cc \
  "ReplayOpen(aggregator, *chunks_[index].open, now);" ""
plant "who leaves is released at once" aggregator/job_leave.cc \
  "if (others_go_on && IsNeeded(state)) continue;" ""
plant "who leaves need not wait for a snapshot" aggregator/job_leave.cc \
  "std::any_of(chunks_.begin(), chunks_.end(), lacks_snapshot)" \
  "(false && std::any_of(chunks_.begin(), chunks_.end(), lacks_snapshot))" \
  //aggregator:engine_leave_test
plant "an heir takes what is sent again" client/inheritances.cc \
  "if (!found->is_here) here_" "here_"
plant "what an evicted worker has sent counts" client/session_settle.cc \
  "Settle(state->chunk(), counted && !sent.abstain());" "Settle(state->chunk(), counted || true);"
plant "what an evicted worker has sent does not count" client/session_settle.cc \
  "Settle(state->chunk(), counted && !sent.abstain());" "Settle(state->chunk(), counted && false);"
plant "what a crash undid is not put back" client/session_settle.cc \
  "? index > index_of(state.last_counted())" "? index > index_of(state.last_counted()) && false"
plant "what a crash undid is put back where it counts" client/session_settle.cc \
  "? index > index_of(state.last_counted())" "? index >= index_of(state.last_counted())"
plant "the dead are waited for" aggregator/chunk_round.cc \
  "departure.cause != Cause::kLeft || place_.round >= departure.gone_from" \
  "departure.cause != Cause::kEvicted && place_.round >= departure.gone_from"
plant "a newcomer forgets a result between the state and the present" client/newcomer.cc \
  "if (result.header.round() + 1 > state_.round + 1)" "if (result.header.round() + 1 > state_.round + 2)"
plant "an observer's results need not lead on to the present" aggregator/chunk_log.cc \
  "if (num_after > results_.size()) return false;" ""
plant "whoever is heard is a witness" aggregator/eviction.cc \
  "sign.connected && sign.reaches_all &&" "sign.connected &&"
plant "a departure is not followed by a snapshot" aggregator/residual_custody.cc \
  "return names_departure || " "return (names_departure && false) || "
plant "a late member's results are kept no longer than others'" client/session.cc \
  "options.max_late == 0 ? kKeptRounds : kMaxRoundsBehind" \
  "options.max_late == 0 || true ? kKeptRounds : kMaxRoundsBehind"
plant "contributions count by name, whatever the incarnation" client/chunk_history.cc \
  "applied.counted = Contains(*participants, identity_->member);" \
  "for (const MemberId& p : *participants) applied.counted |= p.worker == identity_->member.worker;"
plant "a snapshot of another history is as good" aggregator/chunk_reading.cc \
  ": header.chain == snapshot_key_->chain();" ": true;" //aggregator:chunk_recovery_test
plant "a worker sends past its window" client/session.cc \
  "state.first_missing + state.link.window_chunks()" "state.first_missing + 2 * state.link.window_chunks()"
plant "what is tracked over the roster is divided by those who took part" aggregator/chunk_sealing.cc \
  "task.exchange.divisor == Divisor::kRoster ? roster.size() : participants.size()" \
  "task.exchange.divisor == Divisor::kRoster && false ? roster.size() : participants.size()"
plant "what is tracked goes on where the roster changes" aggregator/chunk_sealing.cc \
  "return tracks_roster_ && (RosterChanges() ||" "return tracks_roster_ && ((RosterChanges() && false) ||"
plant "what counts is told wrong where a round closed without the worker" client/session_results.cc \
  "delivered.counted = applied.counted;" "delivered.counted = true;"
plant "a saved residual is lost with the aggregator if its holder lacks the genesis" \
  aggregator/chunk_reading.cc "if (!saved.holds_residual()) continue;" "if (true) continue;" \
  //aggregator:chunk_recovery_test
plant "results are never forgotten" aggregator/chunk_log.cc \
  "results_.size() > kept_results_" "results_.size() > 1000000 * kept_results_" //aggregator:chunk_log_test
plant "after a pause of the aggregator everybody was silent" aggregator/engine.cc \
  "std::clamp(now - last_tick_, absl::ZeroDuration(), kLongestTick)" "(now - last_tick_)" \
  //aggregator:engine_members_test
plant "1-bit Adam keeps all of what was missed" client/optimizers/onebit_adam.cc \
  "signs_->Add(range.offset, -state_.beta1(), moment)" "signs_->Add(range.offset, -0.0f, moment)" \
  //tests/reference:onebit_adam_ledger_test
plant "CD-Adam divides by those who took part" client/optimizers/cd_adam.cc \
  "      Divisor::kRoster};" "      Divisor::kParticipants};" //tests/reference:cd_adam_reference_test
[[ ${survivors} -eq 0 ]]
