#include "kernels/device/device_backend.h"

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status_macros.h"

namespace tally {
namespace {

absl::Span<const uint8_t> BytesOf(absl::Span<const float> x) {
  return {reinterpret_cast<const uint8_t*>(x.data()), x.size() * sizeof(float)};
}

absl::Span<uint8_t> BytesOf(absl::Span<float> x) {
  return {reinterpret_cast<uint8_t*>(x.data()), x.size() * sizeof(float)};
}

absl::StatusOr<SignBlock> CopyIn(const SignBlock& block, Lane& lane) {
  SignBlock there;
  TALLY_ASSIGN_OR_RETURN(there.bits, lane.In(block.bits));
  TALLY_ASSIGN_OR_RETURN(there.scales, lane.In(block.scales));
  return there;
}

absl::StatusOr<std::vector<SignBlock>> CopyIn(absl::Span<const SignBlock> blocks, Lane& lane) {
  std::vector<SignBlock> there;
  there.reserve(blocks.size());
  for (const SignBlock& block : blocks) {
    TALLY_ASSIGN_OR_RETURN(there.emplace_back(), CopyIn(block, lane));
  }
  return there;
}

// `x` and `out` are the host's.
absl::Status Convert(DType from, absl::Span<const uint8_t> x, DType to, absl::Span<uint8_t> out,
                     Lane& lane) {
  TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
  TALLY_ASSIGN_OR_RETURN(const auto device_out, lane.Out(out));
  return lane.queue().Convert(from, device_x, to, device_out);
}

}  // namespace

DeviceBackend::DeviceBackend(std::string name, std::unique_ptr<Device> device,
                             const Backend* fallback, int max_lanes)
    : name_(std::move(name)),
      device_(std::move(device)),
      fallback_(*fallback),
      calls_(name_, device_.get(), max_lanes),
      votes_(&calls_, &fallback->votes()),
      sketches_(&calls_, &fallback->sketches()) {}

double DeviceBackend::Reduce(absl::FunctionRef<absl::Status(Lane&, double*)> use,
                             absl::FunctionRef<double()> otherwise) const {
  double result = 0;
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto there, lane.Out(absl::MakeSpan(&result, 1)));
        return use(lane, there.data());
      },
      [&] {
        result = otherwise();
        return absl::OkStatus();
      });
  return result;
}

double DeviceBackend::DoSumOfSquares(absl::Span<const float> x) const {
  return Reduce(
      [&](Lane& lane, double* norm) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        return lane.queue().SumOfSquares(device_x, norm);
      },
      [&] { return fallback_.SumOfSquares(x); });
}

double DeviceBackend::DoSumOfMagnitudes(absl::Span<const float> x) const {
  return Reduce(
      [&](Lane& lane, double* norm) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        return lane.queue().SumOfMagnitudes(device_x, norm);
      },
      [&] { return fallback_.SumOfMagnitudes(x); });
}

double DeviceBackend::DoDotProduct(absl::Span<const float> x, absl::Span<const float> y) const {
  return Reduce(
      [&](Lane& lane, double* product) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        TALLY_ASSIGN_OR_RETURN(const auto device_y, lane.In(y));
        return lane.queue().DotProduct(device_x, device_y, product);
      },
      [&] { return fallback_.DotProduct(x, y); });
}

bool DeviceBackend::DoAllWithin(absl::Span<const float> x, float bound) const {
  uint32_t beyond = 0;
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        TALLY_ASSIGN_OR_RETURN(const auto there, lane.Out(absl::MakeSpan(&beyond, 1)));
        return lane.queue().FindBeyond(device_x, bound, there.data());
      },
      [&] {
        beyond = fallback_.AllWithin(x, bound) ? 0 : 1;
        return absl::OkStatus();
      });
  return beyond == 0;
}

void DeviceBackend::DoBlend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                            absl::Span<float> out) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        TALLY_ASSIGN_OR_RETURN(const auto device_y, lane.In(y));
        TALLY_ASSIGN_OR_RETURN(const auto device_out, lane.Out(out));
        return lane.queue().Blend(a, device_x, b, device_y, device_out);
      },
      [&] { return fallback_.Blend(a, x, b, y, out); });
}

void DeviceBackend::DoAccumulate(const AccumulateArgs& args) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        AccumulateArgs there = args;
        TALLY_ASSIGN_OR_RETURN(there.sum, lane.InOut(args.sum));
        TALLY_ASSIGN_OR_RETURN(there.input, lane.In(args.input));
        TALLY_ASSIGN_OR_RETURN(there.counted, CopyIn(args.counted, lane));
        TALLY_ASSIGN_OR_RETURN(there.live, lane.In(args.live));
        TALLY_ASSIGN_OR_RETURN(there.norms, lane.Out(args.norms));
        return lane.queue().Accumulate({.accumulate = there});
      },
      [&] { return fallback_.Accumulate(args); });
}

void DeviceBackend::DoPackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        TALLY_ASSIGN_OR_RETURN(const auto device_bits, lane.Out(bits));
        return lane.queue().PackSigns(device_x, device_bits);
      },
      [&] { return fallback_.PackSigns(x, bits); });
}

void DeviceBackend::DoSumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                               absl::Span<const uint8_t> live, absl::Span<float> out) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_blocks, CopyIn(blocks, lane));
        TALLY_ASSIGN_OR_RETURN(const auto device_live, lane.In(live));
        TALLY_ASSIGN_OR_RETURN(const auto device_out, lane.Out(out));
        return lane.queue().SumSigns(device_blocks, segment_ends, device_live, device_out);
      },
      [&] { return fallback_.SumSigns(blocks, segment_ends, live, out); });
}

void DeviceBackend::DoSignRound(const SignRoundArgs& args) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        SignRoundArgs there = args;
        TALLY_ASSIGN_OR_RETURN(const auto blocks, CopyIn(args.blocks, lane));
        there.blocks = blocks;
        TALLY_ASSIGN_OR_RETURN(there.live, lane.In(args.live));
        TALLY_ASSIGN_OR_RETURN(there.residual, lane.InOut(args.residual));
        TALLY_ASSIGN_OR_RETURN(there.bits, lane.Out(args.bits));
        TALLY_ASSIGN_OR_RETURN(there.scales, lane.Out(args.scales));
        return lane.queue().SignRounds({there});
      },
      [&] { return fallback_.SignRound(args); });
}

void DeviceBackend::DoDenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs,
                                float divisor, absl::Span<uint8_t> output) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_inputs, lane.InEach(inputs));
        TALLY_ASSIGN_OR_RETURN(const auto device_output, lane.Out(output));
        return lane.queue().DenseMeans({{dtype, device_inputs, divisor, dtype, device_output}});
      },
      [&] { return fallback_.DenseMean(dtype, inputs, divisor, output); });
}

void DeviceBackend::DoEncodeDense(DType dtype, absl::Span<const float> x,
                                  absl::Span<uint8_t> bytes) const {
  calls_.Run([&](Lane& lane) { return Convert(DType::kFloat32, BytesOf(x), dtype, bytes, lane); },
             [&] { return fallback_.EncodeDense(dtype, x, bytes); });
}

void DeviceBackend::DoDecodeDense(DType dtype, absl::Span<const uint8_t> bytes,
                                  absl::Span<float> x) const {
  calls_.Run([&](Lane& lane) { return Convert(dtype, bytes, DType::kFloat32, BytesOf(x), lane); },
             [&] { return fallback_.DecodeDense(dtype, bytes, x); });
}

void DeviceBackend::DoAdamStep(const AdamArgs& args) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        AdamArgs there = args;
        TALLY_ASSIGN_OR_RETURN(there.parameters, lane.InOut(args.parameters));
        TALLY_ASSIGN_OR_RETURN(there.first_moment, lane.InOut(args.first_moment));
        TALLY_ASSIGN_OR_RETURN(there.second_moment, lane.InOut(args.second_moment));
        TALLY_ASSIGN_OR_RETURN(there.largest_moment, lane.InOut(args.largest_moment));
        TALLY_ASSIGN_OR_RETURN(there.gradient, lane.In(args.gradient));
        return lane.queue().AdamStep(there);
      },
      [&] { return fallback_.AdamStep(args); });
}

void DeviceBackend::DoMomentumStep(const MomentumArgs& args) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        MomentumArgs there = args;
        TALLY_ASSIGN_OR_RETURN(there.parameters, lane.InOut(args.parameters));
        TALLY_ASSIGN_OR_RETURN(there.first_moment, lane.In(args.first_moment));
        TALLY_ASSIGN_OR_RETURN(there.second_moment, lane.In(args.second_moment));
        return lane.queue().MomentumStep(there);
      },
      [&] { return fallback_.MomentumStep(args); });
}

}  // namespace tally
