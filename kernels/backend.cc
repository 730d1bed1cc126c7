#include "kernels/backend.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/argument_checks.h"

namespace tally {
namespace {

absl::Status CheckRule(ScaleRule rule) {
  switch (rule) {
    case ScaleRule::kRootMeanSquare:
    case ScaleRule::kMeanMagnitude:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("`rule` = ", static_cast<int>(rule),
                                                 ", must be kRootMeanSquare or kMeanMagnitude"));
}

absl::Status CheckSignBlocks(absl::Span<const SignBlock> blocks, size_t num_elements,
                             size_t num_segments) {
  if (blocks.empty()) {
    return absl::InvalidArgumentError("`blocks` has 0 blocks, must be at least 1");
  }
  for (size_t n = 0; n < blocks.size(); ++n) {
    TALLY_RETURN_IF_ERROR(CheckSignBlock({"blocks", n}, blocks[n], num_elements, num_segments));
  }
  return absl::OkStatus();
}

absl::Status CheckNumSegments(ArgumentName name, size_t size, size_t num_segments) {
  if (size == num_segments) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "`", name.name, "` has ", size, " values, must be ", num_segments, ", one per segment"));
}

void AddMemory(absl::Span<const SignBlock> blocks, std::vector<ArgumentMemory>& memory) {
  for (size_t n = 0; n < blocks.size(); ++n) {
    memory.push_back(ArgumentMemory::Read({"blocks", n}, blocks[n].bits));
    memory.push_back(ArgumentMemory::Read({"blocks", n}, blocks[n].scales));
  }
}

// `out` may be `x` itself, or apart from it.
absl::Status CheckSameOrDisjoint(ArgumentName name, absl::Span<const float> x,
                                 absl::Span<float> out) {
  if (x.data() == out.data()) return absl::OkStatus();
  return CheckDisjoint({ArgumentMemory::Written("out", out), ArgumentMemory::Read(name, x)});
}

}  // namespace

double Backend::SumOfSquares(absl::Span<const float> x) const {
  return x.empty() ? 0.0 : DoSumOfSquares(x);
}

double Backend::SumOfMagnitudes(absl::Span<const float> x) const {
  return x.empty() ? 0.0 : DoSumOfMagnitudes(x);
}

double Backend::DotProduct(absl::Span<const float> x, absl::Span<const float> y) const {
  const size_t size = std::min(x.size(), y.size());
  return size == 0 ? 0.0 : DoDotProduct(x.first(size), y.first(size));
}

bool Backend::AllWithin(absl::Span<const float> x, float bound) const {
  return x.empty() || DoAllWithin(x, bound);
}

absl::Status Backend::Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                            absl::Span<float> out) const {
  TALLY_RETURN_IF_ERROR(CheckSize("x", x.size(), out.size(), "values", out.size()));
  TALLY_RETURN_IF_ERROR(CheckSize("y", y.size(), out.size(), "values", out.size()));
  TALLY_RETURN_IF_ERROR(CheckSameOrDisjoint("x", x, out));
  TALLY_RETURN_IF_ERROR(CheckSameOrDisjoint("y", y, out));
  if (!out.empty()) DoBlend(a, x, b, y, out);
  return absl::OkStatus();
}

absl::Status Backend::Accumulate(const AccumulateArgs& args) const {
  const size_t num_elements = args.sum.size();
  const size_t num_segments = args.segment_ends.size();
  TALLY_RETURN_IF_ERROR(
      CheckSize("input", args.input.size(), num_elements, "values", num_elements));
  TALLY_RETURN_IF_ERROR(CheckSegmentEnds(args.segment_ends, num_elements));
  if (!args.counted.bits.empty() || !args.counted.scales.empty()) {
    TALLY_RETURN_IF_ERROR(CheckSignBlock("counted", args.counted, num_elements, num_segments));
  }
  TALLY_RETURN_IF_ERROR(CheckLive(args.live, num_elements));
  TALLY_RETURN_IF_ERROR(CheckRule(args.rule));
  TALLY_RETURN_IF_ERROR(CheckNumSegments("norms", args.norms.size(), num_segments));
  TALLY_RETURN_IF_ERROR(CheckDisjoint({ArgumentMemory::Written("sum", args.sum),
                                       ArgumentMemory::Written("norms", args.norms),
                                       ArgumentMemory::Read("input", args.input),
                                       ArgumentMemory::Read("counted", args.counted.bits),
                                       ArgumentMemory::Read("counted", args.counted.scales),
                                       ArgumentMemory::Read("segment_ends", args.segment_ends),
                                       ArgumentMemory::Read("live", args.live)}));
  if (num_elements > 0) DoAccumulate(args);
  return absl::OkStatus();
}

absl::Status Backend::PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const {
  TALLY_RETURN_IF_ERROR(CheckSize("bits", bits.size(), BitmapBytes(x.size()), "bytes", x.size()));
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("bits", bits), ArgumentMemory::Read("x", x)}));
  if (!x.empty()) DoPackSigns(x, bits);
  return absl::OkStatus();
}

absl::Status Backend::SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                               absl::Span<const uint8_t> live, absl::Span<float> out) const {
  TALLY_RETURN_IF_ERROR(CheckSegmentEnds(segment_ends, out.size()));
  TALLY_RETURN_IF_ERROR(CheckSignBlocks(blocks, out.size(), segment_ends.size()));
  TALLY_RETURN_IF_ERROR(CheckLive(live, out.size()));
  std::vector<ArgumentMemory> memory = {ArgumentMemory::Written("out", out),
                                        ArgumentMemory::Read("segment_ends", segment_ends),
                                        ArgumentMemory::Read("live", live)};
  AddMemory(blocks, memory);
  TALLY_RETURN_IF_ERROR(CheckDisjoint(memory));
  if (!out.empty()) DoSumSigns(blocks, segment_ends, live, out);
  return absl::OkStatus();
}

absl::Status Backend::SignRound(const SignRoundArgs& args) const {
  const size_t num_elements = args.residual.size();
  const size_t num_segments = args.segment_ends.size();
  TALLY_RETURN_IF_ERROR(CheckSegmentEnds(args.segment_ends, num_elements));
  TALLY_RETURN_IF_ERROR(CheckSignBlocks(args.blocks, num_elements, num_segments));
  TALLY_RETURN_IF_ERROR(CheckDivisor(args.divisor));
  TALLY_RETURN_IF_ERROR(CheckLive(args.live, num_elements));
  TALLY_RETURN_IF_ERROR(CheckRule(args.rule));
  TALLY_RETURN_IF_ERROR(
      CheckSize("bits", args.bits.size(), BitmapBytes(num_elements), "bytes", num_elements));
  TALLY_RETURN_IF_ERROR(CheckNumSegments("scales", args.scales.size(), num_segments));
  std::vector<ArgumentMemory> memory = {ArgumentMemory::Written("residual", args.residual),
                                        ArgumentMemory::Written("bits", args.bits),
                                        ArgumentMemory::Written("scales", args.scales),
                                        ArgumentMemory::Read("segment_ends", args.segment_ends),
                                        ArgumentMemory::Read("live", args.live)};
  AddMemory(args.blocks, memory);
  TALLY_RETURN_IF_ERROR(CheckDisjoint(memory));
  if (num_elements > 0) DoSignRound(args);
  return absl::OkStatus();
}

absl::Status Backend::DenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs,
                                float divisor, absl::Span<uint8_t> output) const {
  TALLY_RETURN_IF_ERROR(CheckDType(dtype));
  TALLY_RETURN_IF_ERROR(CheckDivisor(divisor));
  if (inputs.empty()) {
    return absl::InvalidArgumentError("`inputs` has 0 payloads, must be at least 1");
  }
  if (output.size() % ElementBytes(dtype) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("`output` has ", output.size(), " bytes, must be a multiple of ",
                     ElementBytes(dtype), " (dtype ", DTypeName(dtype), ")"));
  }
  const size_t num_elements = output.size() / ElementBytes(dtype);
  std::vector<ArgumentMemory> memory = {ArgumentMemory::Written("output", output)};
  for (size_t n = 0; n < inputs.size(); ++n) {
    TALLY_RETURN_IF_ERROR(
        CheckSize({"inputs", n}, inputs[n].size(), output.size(), "bytes", num_elements));
    memory.push_back(ArgumentMemory::Read({"inputs", n}, inputs[n]));
  }
  TALLY_RETURN_IF_ERROR(CheckDisjoint(memory));
  if (num_elements > 0) DoDenseMean(dtype, inputs, divisor, output);
  return absl::OkStatus();
}

absl::Status Backend::EncodeDense(DType dtype, absl::Span<const float> x,
                                  absl::Span<uint8_t> bytes) const {
  TALLY_RETURN_IF_ERROR(CheckDType(dtype));
  TALLY_RETURN_IF_ERROR(
      CheckSize("bytes", bytes.size(), x.size() * ElementBytes(dtype), "bytes", x.size()));
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("bytes", bytes), ArgumentMemory::Read("x", x)}));
  if (!x.empty()) DoEncodeDense(dtype, x, bytes);
  return absl::OkStatus();
}

absl::Status Backend::DecodeDense(DType dtype, absl::Span<const uint8_t> bytes,
                                  absl::Span<float> x) const {
  TALLY_RETURN_IF_ERROR(CheckDType(dtype));
  TALLY_RETURN_IF_ERROR(
      CheckSize("bytes", bytes.size(), x.size() * ElementBytes(dtype), "bytes", x.size()));
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("x", x), ArgumentMemory::Read("bytes", bytes)}));
  if (!x.empty()) DoDecodeDense(dtype, bytes, x);
  return absl::OkStatus();
}

absl::Status Backend::AdamStep(const AdamArgs& args) const {
  const size_t num_elements = args.parameters.size();
  const auto check = [num_elements](ArgumentName name, size_t size) {
    return CheckSize(name, size, num_elements, "values", num_elements);
  };
  TALLY_RETURN_IF_ERROR(check("first_moment", args.first_moment.size()));
  TALLY_RETURN_IF_ERROR(check("second_moment", args.second_moment.size()));
  if (!args.largest_moment.empty()) {
    TALLY_RETURN_IF_ERROR(check("largest_moment", args.largest_moment.size()));
  }
  TALLY_RETURN_IF_ERROR(check("gradient", args.gradient.size()));
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("parameters", args.parameters),
                     ArgumentMemory::Written("first_moment", args.first_moment),
                     ArgumentMemory::Written("second_moment", args.second_moment),
                     ArgumentMemory::Written("largest_moment", args.largest_moment),
                     ArgumentMemory::Read("gradient", args.gradient)}));
  if (num_elements > 0) DoAdamStep(args);
  return absl::OkStatus();
}

absl::Status Backend::MomentumStep(const MomentumArgs& args) const {
  const size_t num_elements = args.parameters.size();
  TALLY_RETURN_IF_ERROR(
      CheckSize("first_moment", args.first_moment.size(), num_elements, "values", num_elements));
  TALLY_RETURN_IF_ERROR(
      CheckSize("second_moment", args.second_moment.size(), num_elements, "values", num_elements));
  TALLY_RETURN_IF_ERROR(CheckDisjoint({ArgumentMemory::Written("parameters", args.parameters),
                                       ArgumentMemory::Read("first_moment", args.first_moment),
                                       ArgumentMemory::Read("second_moment", args.second_moment)}));
  if (num_elements > 0) DoMomentumStep(args);
  return absl::OkStatus();
}

// What is beyond it stays in the residual; so scales that are sent on are always legal.
constexpr double kLargestScale = 0x1p64;

float ScaleFromNorm(ScaleRule rule, double norm, uint64_t num_live) {
  if (num_live == 0) return 0.0f;
  const double mean = norm / static_cast<double>(num_live);
  const double scale = rule == ScaleRule::kRootMeanSquare ? std::sqrt(mean) : mean;
  return static_cast<float>(std::min(scale, kLargestScale));
}

}  // namespace tally
