// Runs in which somebody contributes something wrong to an exchange of which the result is known.
#ifndef TALLY_TESTS_HOSTILE_HOSTILE_EXCHANGE_FIXTURE_H_
#define TALLY_TESTS_HOSTILE_HOSTILE_EXCHANGE_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "gtest/gtest.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/hostile/exchange_samples.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"

namespace tally {

using Breakage = std::function<void(TestContribution&)>;

struct ExchangeOffence : Offence {
  // Breaks what would be a right contribution.
  Breakage break_it;
};

// A run over one chunk, to which all workers contribute the same.
class HostileExchangeTest : public HostileRunTest,
                            public testing::WithParamInterface<ExchangeOffence> {
 protected:
  using HostileRunTest::HostileRunTest;

  // The good workers contribute, the third one offends as the parameter says, comes back and
  // contributes as well.
  void ExpectRefusalAndResult(const ExchangeSample& sample);
  // All contribute.
  void PlayRound(const ExchangeSample& sample);
};

// The name of a row.
std::string OffenceName(const testing::TestParamInfo<ExchangeOffence>& row);

// Changes the payload, and the digest with it.
Breakage ChangePayload(std::function<void(std::string&)> change);
// Appends zeros.
Breakage Lengthen(size_t num_bytes);
// Puts `value` behind `offset_bytes` of the payload.
Breakage PutValue(size_t offset_bytes, float value);
// Changes the descriptor and nothing else.
Breakage ChangeDescriptor(std::function<void(v1::ExchangeDescriptor&)> change);
// Contributes another sample's payload as another sample's exchange.
Breakage Replace(const ExchangeSample& other);
Breakage SetHalf(uint32_t half);

}  // namespace tally

#endif  // TALLY_TESTS_HOSTILE_HOSTILE_EXCHANGE_FIXTURE_H_
