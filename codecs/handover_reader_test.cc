#include "codecs/handover_reader.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

class HandoverReaderTest : public testing::Test {
 protected:
  static std::string BytesOf(float value) {
    const std::vector<float> values(256, value);
    std::string bytes(values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  absl::optional<ReceivedHandover> Give(const std::string& leaver, const std::string& bytes,
                                        size_t begin, size_t end, uint32_t chunk = 1) {
    v1::Handover slice;
    slice.set_chunk(chunk);
    slice.mutable_leaver()->set_worker(leaver);
    slice.mutable_slice()->set_offset_bytes(begin);
    slice.mutable_slice()->set_total_bytes(bytes.size());
    slice.set_payload_digest(Digest64(bytes));
    return reader_.Take(slice, absl::string_view(bytes).substr(begin, end - begin));
  }

  const Layout layout_ =
      *Layout::Create({{.name = "w", .num_elements = 512},
                       {.name = "d", .num_elements = 256, .treatment = Treatment::kDense}},
                      256);
  HandoverReader reader_{&layout_};
};

TEST_F(HandoverReaderTest, PutsSlicesTogetherOfSeveralLeavers) {
  const std::string one = BytesOf(1);
  const std::string two = BytesOf(2);
  EXPECT_FALSE(Give("w-1", one, 0, 500).has_value());
  EXPECT_FALSE(Give("w-2", two, 0, 700).has_value());
  const absl::optional<ReceivedHandover> received = Give("w-1", one, 500, 1024);
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->message.leaver().worker(), "w-1");
  EXPECT_EQ(std::memcmp(received->payload->data(), one.data(), one.size()), 0);
  EXPECT_TRUE(Give("w-2", two, 700, 1024).has_value());
}

TEST_F(HandoverReaderTest, ALeaverThatBeginsAgainBeginsAgain) {
  const std::string bytes = BytesOf(1);
  Give("w-1", bytes, 0, 500);
  EXPECT_FALSE(Give("w-1", bytes, 0, 600).has_value());
  EXPECT_TRUE(Give("w-1", bytes, 600, 1024).has_value());
}

TEST_F(HandoverReaderTest, DropsWhatIsNotWhole) {
  const std::string bytes = BytesOf(1);
  EXPECT_FALSE(Give("w-1", bytes, 500, 1024).has_value()) << "its beginning is missing";
  Give("w-1", bytes, 0, 500);
  EXPECT_FALSE(Give("w-1", bytes, 600, 1024).has_value()) << "a gap";
  EXPECT_FALSE(Give("w-1", bytes, 500, 1024).has_value()) << "it was dropped then";
  EXPECT_FALSE(Give("w-1", bytes, 0, 1024, /*chunk=*/3).has_value()) << "no such chunk";
  EXPECT_FALSE(Give("w-1", bytes, 0, 1024, /*chunk=*/2).has_value()) << "it leaves no residual";
  EXPECT_FALSE(Give("w-1", bytes.substr(4), 0, 1020).has_value()) << "another size";
  std::string damaged = bytes;
  Give("w-1", damaged, 0, 500);
  damaged[600] = 'x';
  EXPECT_FALSE(Give("w-1", damaged, 500, 1024).has_value()) << "another digest";
  EXPECT_TRUE(Give("w-1", bytes, 0, 1024).has_value());
}

TEST_F(HandoverReaderTest, DropsWhatNoResidualMayHold) {
  for (const float value : {NAN, std::numeric_limits<float>::infinity(), 1e20f}) {
    EXPECT_FALSE(Give("w-1", BytesOf(value), 0, 1024).has_value()) << value;
  }
}

}  // namespace
}  // namespace tally
