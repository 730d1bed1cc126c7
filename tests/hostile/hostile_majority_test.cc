// Contributions that are right in themselves, but of another exchange than the others': the
// majority's counts, who differs is refused by name, and the round ends without it.
#include <string>

#include "codecs/exchange.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/hostile/exchange_samples.h"
#include "tests/hostile/hostile_exchange_fixture.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

struct Difference {
  const char* name;
  ExchangeSample sample;
  Breakage change;
  // What the contribution is of then, and must be of.
  std::string rule;
  // What two workers' contributions make, where that is not what three make.
  std::string result;
};

class HostileMajorityTest : public HostileRunTest, public testing::WithParamInterface<Difference> {
 protected:
  using HostileRunTest::HostileRunTest;

  void ExpectRoundWithoutThird() {
    const Difference& difference = GetParam();
    const ExchangeSample& sample = difference.sample;
    TestContribution differs = third_->Contribution(0, sample.exchange, sample.contribution);
    difference.change(differs);
    third_->Send(differs);
    for (RawWorker* worker : {first_, second_}) {
      worker->Send(worker->Contribution(0, sample.exchange, sample.contribution));
    }
    EXPECT_THAT(third_->AwaitRefusal(),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(difference.rule)));
    third_->Connect();
    EXPECT_EQ(AwaitSameResult(0, "\x03").payload,
              difference.result.empty() ? sample.result : difference.result);
  }
};

class HostileMajorityOfChunkTest : public HostileMajorityTest {
 protected:
  HostileMajorityOfChunkTest() : HostileMajorityTest(SampleLayout()) {}
};

TEST_P(HostileMajorityOfChunkTest, WhoDiffersIsRefusedAndTheRoundEndsWithoutIt) {
  ExpectRoundWithoutThird();
}

class HostileMajorityOfGroupTest : public HostileMajorityTest {
 protected:
  HostileMajorityOfGroupTest() : HostileMajorityTest(SampleDealtLayout()) {}
};

TEST_P(HostileMajorityOfGroupTest, WhoDiffersIsRefusedAndTheRoundEndsWithoutIt) {
  const auto* values = absl::get_if<ValuesExchange>(&GetParam().sample.exchange.kind);
  if (values != nullptr) {
    const ExchangeSample first_half = SketchSample();
    for (const auto& worker : workers_) {
      worker->Send(worker->Contribution(0, first_half.exchange, first_half.contribution));
    }
    EXPECT_EQ(AwaitSameResult(0, "\x07").payload, first_half.result);
  }
  ExpectRoundWithoutThird();
}

// What two of the samples' three voters, and relayed workers, make.
std::string TwoVotersResult() {
  const std::string& votes = VoteSample().contribution;
  return std::string(votes.size(), '\0') + votes;
}

std::string TwoRelayedResult() {
  const std::string& three = RelaySample().result;
  return three.substr(0, three.size() / 3 * 2);
}

INSTANTIATE_TEST_SUITE_P(
    Every, HostileMajorityOfChunkTest,
    testing::Values(
        Difference{"OtherVoteResult", VoteSample(), ChangeDescriptor([](auto& e) {
                     e.mutable_vote()->set_result(v1::VOTE_RESULT_DRAWN);
                   }),
                   "`exchange` = vote(drawn), must be vote(counts)", TwoVotersResult()},
        Difference{"OtherDivisor", VoteSample(),
                   ChangeDescriptor([](auto& e) { e.set_divisor(v1::DIVISOR_ROSTER); }),
                   "`exchange` = vote(counts, over roster), must be vote(counts)",
                   TwoVotersResult()},
        Difference{"OtherMaximum", SparseSample(),
                   ChangeDescriptor([](auto& e) { e.mutable_sparse()->set_max_values(4); }),
                   "`exchange` = sparse(at most 4), must be sparse(at most 3)", ""},
        Difference{"OtherGranularity", RelaySample(),
                   [](TestContribution& c) {
                     c.message.mutable_exchange()
                         ->mutable_sign_relay()
                         ->mutable_granularity()
                         ->mutable_whole_model();
                     c.payload.erase(0, 3 * sizeof(float));
                     c.Sign();
                   },
                   "`exchange` = sign_relay(whole model), must be sign_relay(block 256)",
                   TwoRelayedResult()},
        Difference{"OtherKind", VoteSample(), Replace(SparseSample()),
                   "`exchange` = sparse(at most 3), must be vote(counts)", TwoVotersResult()}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Every, HostileMajorityOfGroupTest,
    testing::Values(
        Difference{"OtherSeed", SketchSample(),
                   ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_hash_seed(8); }),
                   "seed 0x8), must be sketch(3x256 FLOAT32, 2 candidates, seed 0x7)", ""},
        Difference{"OtherShapeWithAsManyCells", SketchSample(), ChangeDescriptor([](auto& e) {
                     e.mutable_sketch()->set_rows(1);
                     e.mutable_sketch()->set_columns(768);
                   }),
                   "`exchange` = sketch(1x768 FLOAT32, 2 candidates, seed 0x7), must be "
                   "sketch(3x256 FLOAT32, 2 candidates, seed 0x7)",
                   ""},
        Difference{"OtherNumberOfCandidates", SketchSample(),
                   ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_num_candidates(3); }),
                   "`exchange` = sketch(3x256 FLOAT32, 3 candidates, seed 0x7), must be "
                   "sketch(3x256 FLOAT32, 2 candidates, seed 0x7)",
                   ""},
        Difference{"Estimates", SketchSample(),
                   ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_with_estimates(true); }),
                   "`exchange` = sketch(3x256 FLOAT32, 2 estimates, seed 0x7), must be "
                   "sketch(3x256 FLOAT32, 2 candidates, seed 0x7)",
                   ""},
        Difference{"OtherNumbers", ValuesSample(SketchSample()),
                   [](TestContribution& c) {
                     c.message.mutable_exchange()->mutable_values()->set_data_type(
                         v1::DATA_TYPE_BFLOAT16);
                     c.payload = std::string("\x80\x40\x00\xc1", 4);
                     c.Sign();
                   },
                   ", must be values(2 FLOAT32, of 0x", ""}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace tally
