// Messages are the bytes they always were: a changed field number, type or name fails here.
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "proto/tally/v1/exchange.pb.h"
#include "proto/tally/v1/layout.pb.h"
#include "tests/golden/golden_file.h"

namespace tally {
namespace {

struct GoldenMessage {
  const char* name;
  const google::protobuf::Message* type;
  // A result's header is bytes, which no text shows: the file of the header instead.
  const char* header = nullptr;
};

class GoldenMessageTest : public testing::TestWithParam<GoldenMessage> {
 protected:
  std::unique_ptr<google::protobuf::Message> FromText() const {
    std::unique_ptr<google::protobuf::Message> message(GetParam().type->New());
    ReadGoldenText(GetParam().name, *message);
    if (GetParam().header != nullptr) {
      v1::ResultHeader header;
      ReadGoldenText(GetParam().header, header);
      static_cast<v1::ServerMessage&>(*message).mutable_result()->set_header(
          header.SerializeAsString());
    }
    return message;
  }
};

TEST_P(GoldenMessageTest, SerializesToItsBytes) {
  EXPECT_EQ(absl::BytesToHexString(FromText()->SerializeAsString()),
            absl::BytesToHexString(GoldenBytes(GetParam().name)));
}

TEST_P(GoldenMessageTest, ParsesFromItsBytes) {
  const std::string bytes = GoldenBytes(GetParam().name);
  std::unique_ptr<google::protobuf::Message> message(GetParam().type->New());
  ASSERT_TRUE(message->ParseFromString(bytes));
  EXPECT_EQ(message->DebugString(), FromText()->DebugString());
  EXPECT_EQ(absl::BytesToHexString(message->SerializeAsString()), absl::BytesToHexString(bytes));
}

INSTANTIATE_TEST_SUITE_P(
    All, GoldenMessageTest,
    testing::Values(GoldenMessage{"hello", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"contribution", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"abstention", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"genesis_header", &v1::ResultHeader::default_instance()},
                    GoldenMessage{"header", &v1::ResultHeader::default_instance()},
                    GoldenMessage{"unchanged_header", &v1::ResultHeader::default_instance()},
                    GoldenMessage{"genesis_result", &v1::ServerMessage::default_instance(),
                                  "genesis_header"},
                    GoldenMessage{"result", &v1::ServerMessage::default_instance(), "header"},
                    GoldenMessage{"result_slice", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"exchange_block", &v1::ExchangeDescriptor::default_instance()},
                    GoldenMessage{"exchange_model", &v1::ExchangeDescriptor::default_instance()},
                    GoldenMessage{"dealt_layout", &v1::Layout::default_instance()}),
    [](const testing::TestParamInfo<GoldenMessage>& message) { return message.param.name; });

INSTANTIATE_TEST_SUITE_P(
    ComingAndGoing, GoldenMessageTest,
    testing::Values(GoldenMessage{"member_hello", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"resume_hello", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"welcome", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"heartbeat", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"activate", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"leave", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"handing_leave", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"handover", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"handover_ack", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"fenced_welcome", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"saved_header", &v1::ResultHeader::default_instance()},
                    GoldenMessage{"need", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"replay", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"residual_snapshot", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"snapshot_ack", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"state_request", &v1::ClientMessage::default_instance()},
                    GoldenMessage{"state_part", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"notice", &v1::ServerMessage::default_instance()},
                    GoldenMessage{"refusal", &v1::ServerMessage::default_instance()}),
    [](const testing::TestParamInfo<GoldenMessage>& message) { return message.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Kinds, GoldenMessageTest,
    testing::Values(
        GoldenMessage{"sign_relay_contribution", &v1::ClientMessage::default_instance()},
        GoldenMessage{"sign_relay_header", &v1::ResultHeader::default_instance()},
        GoldenMessage{"sign_relay_result", &v1::ServerMessage::default_instance(),
                      "sign_relay_header"},
        GoldenMessage{"vote_contribution", &v1::ClientMessage::default_instance()},
        GoldenMessage{"vote_header", &v1::ResultHeader::default_instance()},
        GoldenMessage{"vote_result", &v1::ServerMessage::default_instance(), "vote_header"},
        GoldenMessage{"sparse_contribution", &v1::ClientMessage::default_instance()},
        GoldenMessage{"sparse_header", &v1::ResultHeader::default_instance()},
        GoldenMessage{"sparse_result", &v1::ServerMessage::default_instance(), "sparse_header"},
        GoldenMessage{"sketch_contribution", &v1::ClientMessage::default_instance()},
        GoldenMessage{"sketch_header", &v1::ResultHeader::default_instance()},
        GoldenMessage{"sketch_result", &v1::ServerMessage::default_instance(), "sketch_header"},
        GoldenMessage{"values_contribution", &v1::ClientMessage::default_instance()},
        GoldenMessage{"values_header", &v1::ResultHeader::default_instance()},
        GoldenMessage{"values_result", &v1::ServerMessage::default_instance(), "values_header"}),
    [](const testing::TestParamInfo<GoldenMessage>& message) { return message.param.name; });

}  // namespace
}  // namespace tally
