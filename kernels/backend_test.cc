#include "kernels/backend.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/scalar/sketches.h"
#include "kernels/scalar/votes.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::HasSubstr;

// Counts what passes the checks, and computes nothing.
class CountingBackend final : public Backend {
 public:
  absl::string_view name() const override { return "counting"; }
  bool IsSupported() const override { return true; }
  const VoteKernels& votes() const override { return votes_; }
  const SketchKernels& sketches() const override { return sketches_; }
  int num_calls() const { return num_calls_; }

 private:
  double DoSumOfSquares(absl::Span<const float>) const override { return ++num_calls_; }
  double DoDotProduct(absl::Span<const float> x, absl::Span<const float>) const override {
    ++num_calls_;
    return static_cast<double>(x.size());
  }
  double DoSumOfMagnitudes(absl::Span<const float>) const override { return ++num_calls_; }
  bool DoAllWithin(absl::Span<const float>, float) const override { return ++num_calls_ == 0; }
  void DoBlend(float, absl::Span<const float>, float, absl::Span<const float>,
               absl::Span<float>) const override {
    ++num_calls_;
  }
  void DoAccumulate(const AccumulateArgs&) const override { ++num_calls_; }
  void DoPackSigns(absl::Span<const float>, absl::Span<uint8_t>) const override { ++num_calls_; }
  void DoSumSigns(absl::Span<const SignBlock>, SegmentEnds, absl::Span<const uint8_t>,
                  absl::Span<float>) const override {
    ++num_calls_;
  }
  void DoSignRound(const SignRoundArgs&) const override { ++num_calls_; }
  void DoDenseMean(DType, absl::Span<const absl::Span<const uint8_t>>, float,
                   absl::Span<uint8_t>) const override {
    ++num_calls_;
  }
  void DoEncodeDense(DType, absl::Span<const float>, absl::Span<uint8_t>) const override {
    ++num_calls_;
  }
  void DoDecodeDense(DType, absl::Span<const uint8_t>, absl::Span<float>) const override {
    ++num_calls_;
  }
  void DoAdamStep(const AdamArgs&) const override { ++num_calls_; }
  void DoMomentumStep(const MomentumArgs&) const override { ++num_calls_; }

  ScalarVotes votes_;
  ScalarSketches sketches_;
  mutable int num_calls_ = 0;
};

// Valid arguments over `num_elements` elements in one segment (none if there are no elements), for
// a test to spoil.
class Arguments {
 public:
  explicit Arguments(size_t num_elements)
      : floats_(8, std::vector<float>(num_elements, 1.0f)),
        bytes_(4, std::vector<uint8_t>(4 * num_elements)),
        bitmaps_(4, std::vector<uint8_t>(BitmapBytes(num_elements))),
        ends_(num_elements == 0 ? 0 : 1, static_cast<uint32_t>(num_elements)),
        scales_(3, std::vector<float>(ends_.size(), 1.0f)),
        norms_(ends_.size()),
        blocks{{bitmaps_[0], scales_[0]}, {bitmaps_[1], scales_[1]}},
        inputs{bytes_[0], bytes_[1]} {}

  absl::Span<float> Floats(size_t i) { return absl::MakeSpan(floats_[i]); }
  absl::Span<uint8_t> Bytes(size_t i) { return absl::MakeSpan(bytes_[i]); }
  absl::Span<uint8_t> Bitmap(size_t i) { return absl::MakeSpan(bitmaps_[i]); }
  absl::Span<float> Scales(size_t i) { return absl::MakeSpan(scales_[i]); }
  SegmentEnds ends() const { return ends_; }

  AccumulateArgs Accumulate() {
    return {Floats(0),
            Floats(1),
            blocks[0],
            ends_,
            Bitmap(3),
            ScaleRule::kRootMeanSquare,
            absl::MakeSpan(norms_)};
  }
  SignRoundArgs SignRound() {
    return {blocks,    1.0f,      ends_,    Bitmap(3), ScaleRule::kMeanMagnitude,
            Floats(0), Bitmap(2), Scales(2)};
  }
  AdamArgs Adam() {
    AdamArgs args = {};
    args.parameters = Floats(0);
    args.first_moment = Floats(1);
    args.second_moment = Floats(2);
    args.largest_moment = Floats(3);
    args.gradient = Floats(4);
    return args;
  }
  MomentumArgs Momentum() {
    MomentumArgs args = {};
    args.parameters = Floats(0);
    args.first_moment = Floats(1);
    args.second_moment = Floats(2);
    return args;
  }

 private:
  std::vector<std::vector<float>> floats_;
  std::vector<std::vector<uint8_t>> bytes_;
  std::vector<std::vector<uint8_t>> bitmaps_;
  std::vector<uint32_t> ends_;
  std::vector<std::vector<float>> scales_;
  std::vector<double> norms_;

 public:
  std::vector<SignBlock> blocks;
  std::vector<absl::Span<const uint8_t>> inputs;
};

// Calls every fallible method with valid arguments.
void CallAll(const Backend& backend, Arguments args) {
  EXPECT_THAT(backend.Blend(1, args.Floats(0), 1, args.Floats(1), args.Floats(0)), IsOk());
  EXPECT_THAT(backend.Accumulate(args.Accumulate()), IsOk());
  EXPECT_THAT(backend.PackSigns(args.Floats(0), args.Bitmap(0)), IsOk());
  EXPECT_THAT(backend.SumSigns(args.blocks, args.ends(), {}, args.Floats(0)), IsOk());
  EXPECT_THAT(backend.SignRound(args.SignRound()), IsOk());
  EXPECT_THAT(backend.DenseMean(DType::kFloat16, args.inputs, 1, args.Bytes(2)), IsOk());
  EXPECT_THAT(backend.EncodeDense(DType::kFloat32, args.Floats(0), args.Bytes(0)), IsOk());
  EXPECT_THAT(backend.DecodeDense(DType::kFloat32, args.Bytes(0), args.Floats(0)), IsOk());
  EXPECT_THAT(backend.AdamStep(args.Adam()), IsOk());
  EXPECT_THAT(backend.MomentumStep(args.Momentum()), IsOk());
}

TEST(BackendTest, PassesValidArgumentsOn) {
  const CountingBackend backend;
  CallAll(backend, Arguments(64));
  EXPECT_EQ(backend.num_calls(), 10);
}

TEST(BackendTest, HandlesEmptySpansItself) {
  const CountingBackend backend;
  CallAll(backend, Arguments(0));
  EXPECT_EQ(backend.SumOfSquares({}), 0.0);
  EXPECT_EQ(backend.SumOfMagnitudes({}), 0.0);
  EXPECT_EQ(backend.DotProduct({}, std::vector<float>{1.0f}), 0.0);
  EXPECT_TRUE(backend.AllWithin({}, -1.0f));
  EXPECT_EQ(backend.num_calls(), 0);
}

TEST(BackendTest, DotProductsAreOfTheCommonLength) {
  const CountingBackend backend;
  EXPECT_EQ(backend.DotProduct(std::vector<float>(3), std::vector<float>(5)), 3.0);
  EXPECT_EQ(backend.DotProduct(std::vector<float>(5), std::vector<float>(3)), 3.0);
}

struct BadCall {
  std::string message;
  std::function<absl::Status(const Backend&, Arguments&)> call;
};

// Each call spoils one argument over 64 elements.
void ExpectRejected(const std::vector<BadCall>& bad_calls) {
  for (const BadCall& bad_call : bad_calls) {
    SCOPED_TRACE(bad_call.message);
    const CountingBackend backend;
    Arguments args(64);
    EXPECT_THAT(bad_call.call(backend, args),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad_call.message)));
    EXPECT_EQ(backend.num_calls(), 0);
  }
}

template <typename T>
absl::Span<T> Shorter(absl::Span<T> span) {
  return span.first(span.size() - 1);
}

TEST(BackendTest, RejectsBadBlends) {
  ExpectRejected(
      {{"`x` has 63 values, must be 64 for 64 elements",
        [](auto& backend, auto& args) {
          return backend.Blend(1, Shorter(args.Floats(0)), 1, args.Floats(1), args.Floats(2));
        }},
       {"`y` has 63 values, must be 64",
        [](auto& backend, auto& args) {
          return backend.Blend(1, args.Floats(0), 1, Shorter(args.Floats(1)), args.Floats(2));
        }},
       {"`out` overlaps `y`, must be apart from it", [](auto& backend, auto& args) {
          std::vector<float> memory(65);
          const absl::Span<float> all = absl::MakeSpan(memory);
          return backend.Blend(1, args.Floats(0), 1, all.first(64), all.subspan(1));
        }}});
}

TEST(BackendTest, RejectsBadSegmentEnds) {
  const auto sum_signs = [](std::vector<uint32_t> ends) {
    return [ends](auto& backend, auto& args) {
      return backend.SumSigns(args.blocks, ends, {}, args.Floats(0));
    };
  };
  ExpectRejected({{"`segment_ends` ends at 0, must end at num_elements = 64", sum_signs({})},
                  {"`segment_ends` ends at 63, must end at num_elements = 64", sum_signs({63})},
                  {"`segment_ends[0]` = 0, must be greater than 0", sum_signs({0, 64})},
                  {"`segment_ends[2]` = 9, must be greater than 9", sum_signs({3, 9, 9, 64})}});
}

TEST(BackendTest, RejectsBadBlocks) {
  const auto sum_signs = [](std::function<void(Arguments&)> spoil) {
    return [spoil](auto& backend, auto& args) {
      spoil(args);
      return backend.SumSigns(args.blocks, args.ends(), args.Bitmap(3), args.Floats(0));
    };
  };
  ExpectRejected(
      {{"`blocks` has 0 blocks, must be at least 1",
        sum_signs([](Arguments& args) { args.blocks.clear(); })},
       {"`blocks[1].bits` has 7 bytes, must be 8 for 64 elements",
        sum_signs([](Arguments& args) { args.blocks[1].bits.remove_suffix(1); })},
       {"`blocks[0].scales` has 0 scales, must be 1, one per segment",
        sum_signs([](Arguments& args) { args.blocks[0].scales = {}; })},
       {"`blocks[1].scales[0]` = -1, must be finite and not negative",
        sum_signs([](Arguments& args) { args.Scales(1)[0] = -1.0f; })},
       {"`blocks[0].scales[0]` = inf, must be finite", sum_signs([](Arguments& args) {
          args.Scales(0)[0] = std::numeric_limits<float>::infinity();
        })},
       {"`out` overlaps `blocks[1]`, must be apart from it",
        sum_signs([](Arguments& args) { args.blocks[1].scales = args.Floats(0).first(1); })}});
}

TEST(BackendTest, RejectsBadAccumulates) {
  const auto accumulate = [](std::function<void(AccumulateArgs&)> spoil) {
    return [spoil](auto& backend, auto& args) {
      AccumulateArgs spoiled = args.Accumulate();
      spoil(spoiled);
      return backend.Accumulate(spoiled);
    };
  };
  ExpectRejected({{"`input` has 63 values, must be 64",
                   accumulate([](AccumulateArgs& args) { args.input = Shorter(args.input); })},
                  {"`segment_ends` ends at 0",
                   accumulate([](AccumulateArgs& args) { args.segment_ends = {}; })},
                  {"`counted.bits` has 0 bytes, must be 8",
                   accumulate([](AccumulateArgs& args) { args.counted.bits = {}; })},
                  {"`counted.scales` has 0 scales, must be 1",
                   accumulate([](AccumulateArgs& args) { args.counted.scales = {}; })},
                  {"`live` has 7 bytes, must be 8",
                   accumulate([](AccumulateArgs& args) { args.live = Shorter(args.live); })},
                  {"`rule` = 9, must be kRootMeanSquare or kMeanMagnitude",
                   accumulate([](AccumulateArgs& args) { args.rule = static_cast<ScaleRule>(9); })},
                  {"`norms` has 0 values, must be 1, one per segment",
                   accumulate([](AccumulateArgs& args) { args.norms = {}; })},
                  {"`sum` overlaps `input`, must be apart from it",
                   accumulate([](AccumulateArgs& args) { args.input = args.sum; })}});
}

TEST(BackendTest, RejectsBadPacks) {
  ExpectRejected({{"`bits` has 7 bytes, must be 8 for 64 elements",
                   [](auto& backend, auto& args) {
                     return backend.PackSigns(args.Floats(0), Shorter(args.Bitmap(0)));
                   }},
                  {"`bits` overlaps `x`", [](auto& backend, auto& args) {
                     auto* const bytes = reinterpret_cast<uint8_t*>(args.Floats(0).data());
                     return backend.PackSigns(args.Floats(0), absl::MakeSpan(bytes, 8));
                   }}});
}

TEST(BackendTest, RejectsBadRounds) {
  const auto sign_round = [](std::function<void(SignRoundArgs&)> spoil) {
    return [spoil](auto& backend, auto& args) {
      SignRoundArgs spoiled = args.SignRound();
      spoil(spoiled);
      return backend.SignRound(spoiled);
    };
  };
  ExpectRejected(
      {{"`segment_ends` ends at 0", sign_round([](auto& args) { args.segment_ends = {}; })},
       {"`blocks` has 0 blocks", sign_round([](auto& args) { args.blocks = {}; })},
       {"`divisor` = 0, must be finite and positive",
        sign_round([](auto& args) { args.divisor = 0.0f; })},
       {"`divisor` = nan, must be finite and positive",
        sign_round([](auto& args) { args.divisor = std::numeric_limits<float>::quiet_NaN(); })},
       {"`live` has 7 bytes", sign_round([](auto& args) { args.live = Shorter(args.live); })},
       {"`rule` = 9", sign_round([](auto& args) { args.rule = static_cast<ScaleRule>(9); })},
       {"`bits` has 7 bytes", sign_round([](auto& args) { args.bits = Shorter(args.bits); })},
       {"`scales` has 0 values, must be 1",
        sign_round([](auto& args) { args.scales = args.scales.first(0); })},
       {"`residual` overlaps `scales`",
        sign_round([](auto& args) { args.scales = args.residual.first(1); })}});
}

TEST(BackendTest, RejectsBadDenseArguments) {
  ExpectRejected(
      {{"`dtype` = 7, must be FLOAT32, FLOAT16 or BFLOAT16",
        [](auto& backend, auto& args) {
          return backend.DenseMean(static_cast<DType>(7), args.inputs, 1, args.Bytes(2));
        }},
       {"`divisor` = -2, must be finite and positive",
        [](auto& backend, auto& args) {
          return backend.DenseMean(DType::kFloat32, args.inputs, -2, args.Bytes(2));
        }},
       {"`inputs` has 0 payloads, must be at least 1",
        [](auto& backend, auto& args) {
          return backend.DenseMean(DType::kFloat32, {}, 1, args.Bytes(2));
        }},
       {"`output` has 255 bytes, must be a multiple of 2 (dtype BFLOAT16)",
        [](auto& backend, auto& args) {
          return backend.DenseMean(DType::kBFloat16, args.inputs, 1, Shorter(args.Bytes(2)));
        }},
       {"`inputs[1]` has 255 bytes, must be 256 for 64 elements",
        [](auto& backend, auto& args) {
          args.inputs[1].remove_suffix(1);
          return backend.DenseMean(DType::kFloat32, args.inputs, 1, args.Bytes(2));
        }},
       {"`output` overlaps `inputs[1]`",
        [](auto& backend, auto& args) {
          return backend.DenseMean(DType::kFloat32, args.inputs, 1, args.Bytes(1));
        }},
       {"`dtype` = 7",
        [](auto& backend, auto& args) {
          return backend.EncodeDense(static_cast<DType>(7), args.Floats(0), args.Bytes(0));
        }},
       {"`bytes` has 256 bytes, must be 128 for 64 elements",
        [](auto& backend, auto& args) {
          return backend.EncodeDense(DType::kFloat16, args.Floats(0), args.Bytes(0));
        }},
       {"`bytes` has 255 bytes, must be 256",
        [](auto& backend, auto& args) {
          return backend.DecodeDense(DType::kFloat32, Shorter(args.Bytes(0)), args.Floats(0));
        }},
       {"`dtype` = 7", [](auto& backend, auto& args) {
          return backend.DecodeDense(static_cast<DType>(7), args.Bytes(0), args.Floats(0));
        }}});
}

TEST(BackendTest, RejectsBadOptimizerArguments) {
  const auto adam = [](std::function<void(AdamArgs&)> spoil) {
    return [spoil](auto& backend, auto& args) {
      AdamArgs spoiled = args.Adam();
      spoil(spoiled);
      return backend.AdamStep(spoiled);
    };
  };
  const auto momentum = [](std::function<void(MomentumArgs&)> spoil) {
    return [spoil](auto& backend, auto& args) {
      MomentumArgs spoiled = args.Momentum();
      spoil(spoiled);
      return backend.MomentumStep(spoiled);
    };
  };
  ExpectRejected({{"`first_moment` has 63 values, must be 64 for 64 elements",
                   adam([](auto& args) { args.first_moment = Shorter(args.first_moment); })},
                  {"`second_moment` has 63 values",
                   adam([](auto& args) { args.second_moment = Shorter(args.second_moment); })},
                  {"`largest_moment` has 63 values",
                   adam([](auto& args) { args.largest_moment = Shorter(args.largest_moment); })},
                  {"`gradient` has 63 values",
                   adam([](auto& args) { args.gradient = Shorter(args.gradient); })},
                  {"`second_moment` overlaps `largest_moment`",
                   adam([](auto& args) { args.largest_moment = args.second_moment; })},
                  {"`first_moment` has 63 values",
                   momentum([](auto& args) { args.first_moment = Shorter(args.first_moment); })},
                  {"`second_moment` has 63 values",
                   momentum([](auto& args) { args.second_moment = Shorter(args.second_moment); })},
                  {"`parameters` overlaps `first_moment`",
                   momentum([](auto& args) { args.first_moment = args.parameters; })}});
}

TEST(ScaleFromNormTest, IsTheMeanOrItsRoot) {
  EXPECT_EQ(ScaleFromNorm(ScaleRule::kMeanMagnitude, 6.5, 4), 1.625f);
  EXPECT_EQ(ScaleFromNorm(ScaleRule::kRootMeanSquare, 36.0, 4), 3.0f);
  EXPECT_EQ(ScaleFromNorm(ScaleRule::kRootMeanSquare, 5.0, 0), 0.0f);
}

TEST(ScaleFromNormTest, IsAtMostTheLargestScaleThatMayBeSent) {
  EXPECT_EQ(ScaleFromNorm(ScaleRule::kMeanMagnitude, 0x1p66, 2), 0x1p64f);
  EXPECT_EQ(ScaleFromNorm(ScaleRule::kRootMeanSquare, 0x1p131, 2), 0x1p64f);
}

TEST(ScaleFromNormTest, RoundsOnce) {
  // In fp32 the norm would become 2^25 and the mean 1.
  EXPECT_EQ(ScaleFromNorm(ScaleRule::kMeanMagnitude, 0x1p25 + 4.0, 1 << 25), 1.0f + 0x1p-23f);
}

}  // namespace
}  // namespace tally
