// What simulated workers have contributed, whatever became of it.
#ifndef TALLY_TESTS_SIMULATION_CONTRIBUTION_LOG_H_
#define TALLY_TESTS_SIMULATION_CONTRIBUTION_LOG_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "base/buffer.h"
#include "base/check.h"
#include "codecs/place.h"
#include "codecs/roster.h"

namespace tally {

// The truth that histories are held against: one for each run of a job.
class ContributionLog {
 public:
  struct Entry {
    SharedBuffer payload;
    // Who made it: processes of all runs are counted.
    uint32_t process = 0;
  };

  // `prev_chain`: the digest of the chunk's history that it builds on; 0: a genesis.
  void Add(const MemberId& member, uint32_t chunk, const Place& place, uint64_t prev_chain,
           Entry entry) {
    const bool is_first =
        entries_.emplace(KeyOf(member, chunk, place, prev_chain), std::move(entry)).second;
    TALLY_CHECK(is_first, "a worker contributes once to an exchange");
  }
  // Null: there is none.
  const Entry* Find(const MemberId& member, uint32_t chunk, const Place& place,
                    uint64_t prev_chain) const {
    const auto found = entries_.find(KeyOf(member, chunk, place, prev_chain));
    return found == entries_.end() ? nullptr : &found->second;
  }

 private:
  using Key = std::tuple<std::string, uint64_t, uint32_t, Place, uint64_t>;
  static Key KeyOf(const MemberId& member, uint32_t chunk, const Place& place,
                   uint64_t prev_chain) {
    return {member.worker, member.incarnation, chunk, place, prev_chain};
  }

  std::map<Key, Entry> entries_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_CONTRIBUTION_LOG_H_
