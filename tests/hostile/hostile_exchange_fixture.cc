#include "tests/hostile/hostile_exchange_fixture.h"

#include <cstring>
#include <utility>

#include "codecs/exchange.h"
#include "gmock/gmock.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

void Contribute(RawWorker* worker, const ExchangeSample& sample) {
  worker->Send(worker->Contribution(0, sample.exchange, sample.contribution));
}

}  // namespace

void HostileExchangeTest::ExpectRefusalAndResult(const ExchangeSample& sample) {
  Contribute(first_, sample);
  Contribute(second_, sample);
  TestContribution broken = third_->Contribution(0, sample.exchange, sample.contribution);
  GetParam().break_it(broken);
  third_->Send(broken);
  EXPECT_THAT(third_->AwaitRefusal(),
              StatusIs(GetParam().code, testing::HasSubstr(GetParam().message)));
  third_->Connect();
  EXPECT_TRUE(third_->AwaitWelcome().has_value());
  Contribute(third_, sample);
  EXPECT_EQ(AwaitSameResult(0, "\x07").payload, sample.result);
}

void HostileExchangeTest::PlayRound(const ExchangeSample& sample) {
  for (const auto& worker : workers_) Contribute(worker.get(), sample);
  EXPECT_EQ(AwaitSameResult(0, "\x07").payload, sample.result);
}

std::string OffenceName(const testing::TestParamInfo<ExchangeOffence>& row) {
  return row.param.name;
}

Breakage ChangePayload(std::function<void(std::string&)> change) {
  return [change = std::move(change)](TestContribution& c) {
    change(c.payload);
    c.Sign();
  };
}

Breakage Lengthen(size_t num_bytes) {
  return ChangePayload([=](std::string& payload) { payload.append(num_bytes, '\0'); });
}

Breakage PutValue(size_t offset_bytes, float value) {
  return ChangePayload([=](std::string& payload) {
    std::memcpy(payload.data() + offset_bytes, &value, sizeof(value));
  });
}

Breakage ChangeDescriptor(std::function<void(v1::ExchangeDescriptor&)> change) {
  return
      [change = std::move(change)](TestContribution& c) { change(*c.message.mutable_exchange()); };
}

Breakage Replace(const ExchangeSample& other) {
  return [other](TestContribution& c) {
    *c.message.mutable_exchange() = EncodeExchange(other.exchange);
    c.payload = other.contribution;
    c.Sign();
  };
}

Breakage SetHalf(uint32_t half) {
  return [half](TestContribution& c) { c.message.set_half(half); };
}

}  // namespace tally
