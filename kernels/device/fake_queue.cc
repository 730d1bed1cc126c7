#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/device/fake_device.h"
#include "kernels/scalar/scalar_backend.h"

namespace tally {
namespace {

void Must(const absl::Status& status) { TALLY_CHECK(status.ok(), status.message()); }

// Writes what kernels may write past the end of `bytes`.
void Spoil(absl::Span<uint8_t> bytes) {
  constexpr uint8_t kSpoiltByte = 0x5a;
  for (uint8_t* past = bytes.data() + bytes.size(); reinterpret_cast<uintptr_t>(past) % 4 != 0;) {
    *past++ = kSpoiltByte;
  }
}

// Of element i of what the runs are packed to. `starts` lies in the device's memory.
size_t ElementOf(const DeviceRuns& runs, size_t i) {
  return size_t{runs.starts.at(i / runs.num_elements)} * runs.num_elements + i % runs.num_elements;
}

template <typename T>
std::vector<T> Copied(absl::Span<const T> list) {
  return {list.begin(), list.end()};
}

// Arguments with the lists that theirs point to.
struct OwnedRound {
  explicit OwnedRound(const SignRoundArgs& round)
      : args(round), blocks(Copied(round.blocks)), segment_ends(Copied(round.segment_ends)) {}

  SignRoundArgs args;
  std::vector<SignBlock> blocks;
  std::vector<uint32_t> segment_ends;
};

struct OwnedMean {
  explicit OwnedMean(const DeviceMeanArgs& mean) : args(mean), inputs(Copied(mean.inputs)) {}

  DeviceMeanArgs args;
  std::vector<absl::Span<const uint8_t>> inputs;
};

struct OwnedElection {
  explicit OwnedElection(const DeviceElectionArgs& election)
      : args(election), ballots(Copied(election.ballots)) {}

  DeviceElectionArgs args;
  std::vector<absl::Span<const uint8_t>> ballots;
};

void MeanOfPayloads(const Backend& scalar, const OwnedMean& mean) {
  const DeviceMeanArgs& args = mean.args;
  std::vector<float> sum(args.output.size() / ElementBytes(args.output_dtype));
  std::vector<float> next(sum.size());
  Must(scalar.DecodeDense(args.dtype, mean.inputs[0], absl::MakeSpan(sum)));
  for (size_t n = 1; n < mean.inputs.size(); ++n) {
    Must(scalar.DecodeDense(args.dtype, mean.inputs[n], absl::MakeSpan(next)));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += next[i];
  }
  for (float& x : sum) x /= args.divisor;
  Must(scalar.EncodeDense(args.output_dtype, sum, args.output));
}

void Convert(const Backend& scalar, DType from, absl::Span<const uint8_t> x, DType to,
             absl::Span<uint8_t> out) {
  const size_t size = x.size() / ElementBytes(from);
  if (from == to) {
    if (!x.empty()) std::memcpy(out.data(), x.data(), x.size());
  } else if (from == DType::kFloat32) {
    Must(scalar.EncodeDense(to, {reinterpret_cast<const float*>(x.data()), size}, out));
  } else {
    Must(scalar.DecodeDense(from, x, {reinterpret_cast<float*>(out.data()), size}));
  }
}

void MeanOfEntries(absl::Span<const DeviceSparseBlock> blocks, float divisor,
                   absl::Span<uint32_t> indices, absl::Span<float> mean, uint32_t* count) {
  std::map<uint32_t, float> sums;
  for (const DeviceSparseBlock& block : blocks) {
    for (size_t k = 0; k < block.indices.size(); ++k) {
      // Whoever is first is not added to zero: -0 stays what it was.
      const auto [sum, is_first] = sums.try_emplace(block.indices[k], block.values[k]);
      if (!is_first) sum->second += block.values[k];
    }
  }
  TALLY_CHECK(sums.size() <= std::min(indices.size(), mean.size()),
              "`indices` and `mean` have room for every element that a block names");
  *count = 0;
  for (const auto& [index, sum] : sums) {
    indices[*count] = index;
    mean[*count] = sum / divisor;
    ++*count;
  }
}

}  // namespace

class FakeDevice::Queue final : public DeviceQueue {
 public:
  explicit Queue(FakeDevice* device) : device_(*device) {}

  absl::Status CopyIn(absl::Span<const uint8_t> host, void* device) override {
    device_.CheckHolds(device, host.size());
    return EnqueueCopy(host.data(), device, host.size());
  }

  absl::Status GatherIn(absl::Span<const DeviceHostPiece> pieces) override {
    for (const DeviceHostPiece& piece : pieces) {
      TALLY_RETURN_IF_ERROR(CopyIn(piece.pinned, piece.device));
    }
    return absl::OkStatus();
  }

  absl::Status CopyOut(const void* device, absl::Span<uint8_t> host) override {
    device_.CheckHolds(device, host.size());
    return EnqueueCopy(device, host.data(), host.size());
  }

  absl::Status Copy(const void* from, void* to, size_t num_bytes) override {
    device_.CheckHolds(from, num_bytes);
    device_.CheckHolds(to, num_bytes);
    return EnqueueCopy(from, to, num_bytes);
  }

  absl::Status Zero(void* device, size_t num_bytes) override {
    device_.CheckHolds(device, num_bytes);
    return Enqueue(/*is_kernel=*/false, [=] {
      if (num_bytes > 0) std::memset(device, 0, num_bytes);
    });
  }

  absl::Status SumOfSquares(absl::Span<const float> x, double* norm) override {
    CheckSpans(x, absl::MakeSpan(norm, 1));
    return Launch([=, this] { *norm = scalar_.SumOfSquares(x); });
  }

  absl::Status SumOfMagnitudes(absl::Span<const float> x, double* norm) override {
    CheckSpans(x, absl::MakeSpan(norm, 1));
    return Launch([=, this] { *norm = scalar_.SumOfMagnitudes(x); });
  }

  absl::Status DotProduct(absl::Span<const float> x, absl::Span<const float> y,
                          double* product) override {
    CheckSpans(x, y, absl::MakeSpan(product, 1));
    return Launch([=, this] { *product = scalar_.DotProduct(x, y); });
  }

  absl::Status FindBeyond(absl::Span<const float> x, float bound, uint32_t* beyond) override {
    CheckSpans(x, absl::MakeSpan(beyond, 1));
    return Launch([=, this] { *beyond = scalar_.AllWithin(x, bound) ? 0 : 1; });
  }

  absl::Status Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                     absl::Span<float> out) override {
    CheckSpans(x, y, out);
    return Launch([=, this] { Must(scalar_.Blend(a, x, b, y, out)); });
  }

  absl::Status AdamStep(const AdamArgs& args) override {
    CheckSpans(args.parameters, args.first_moment, args.second_moment, args.largest_moment,
               args.gradient);
    return Launch([=, this] { Must(scalar_.AdamStep(args)); });
  }

  absl::Status MomentumStep(const MomentumArgs& args) override {
    CheckSpans(args.parameters, args.first_moment, args.second_moment);
    return Launch([=, this] { Must(scalar_.MomentumStep(args)); });
  }

  absl::Status Gather(absl::Span<const float> x, const DeviceRuns& runs,
                      absl::Span<float> packed) override {
    CheckSpans(x, runs.starts, packed);
    return Launch([=] {
      for (size_t i = 0; i < packed.size(); ++i) packed[i] = x.at(ElementOf(runs, i));
    });
  }

  absl::Status Scatter(absl::Span<const float> packed, const DeviceRuns& runs,
                       absl::Span<float> x) override {
    CheckSpans(packed, runs.starts, x);
    return Launch([=] {
      for (size_t i = 0; i < packed.size(); ++i) x.at(ElementOf(runs, i)) = packed[i];
    });
  }

  absl::Status Weigh(const DeviceWeighArgs& args) override {
    CheckSpans(args.x, args.live, args.second_moment, args.out);
    return Launch([=] {
      for (size_t i = 0; i < args.x.size(); ++i) {
        const bool lives = args.live.empty() || ((args.live[i / 8] >> (i % 8)) & 1) != 0;
        if (!lives) args.x[i] = 0.0f;
        const float root = std::sqrt(args.second_moment[i] * args.second_correction);
        args.out[i] = 1.0f / (root + args.epsilon) * args.x[i];
      }
    });
  }

  absl::Status Accumulate(const DeviceAccumulateArgs& args) override {
    const AccumulateArgs& sums = args.accumulate;
    CheckSpans(sums.sum, sums.input, sums.counted.bits, sums.counted.scales, sums.live, sums.norms,
               args.bits);
    return Launch([this, own = sums, ends = Copied(sums.segment_ends), bits = args.bits]() mutable {
      own.segment_ends = ends;
      Must(scalar_.Accumulate(own));
      if (bits.empty()) return;
      Must(scalar_.PackSigns(own.sum, bits));
      Spoil(bits);
    });
  }

  absl::Status PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) override {
    CheckSpans(x, bits);
    return Launch([=, this] {
      Must(scalar_.PackSigns(x, bits));
      Spoil(bits);
    });
  }

  absl::Status SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                        absl::Span<const uint8_t> live, absl::Span<float> out) override {
    CheckSpans(live, out);
    for (const SignBlock& block : blocks) CheckSpans(block.bits, block.scales);
    return Launch([=, this, own_blocks = Copied(blocks), own_ends = Copied(segment_ends)] {
      Must(scalar_.SumSigns(own_blocks, own_ends, live, out));
    });
  }

  absl::Status SignRounds(absl::Span<const SignRoundArgs> rounds) override {
    for (const SignRoundArgs& round : rounds) {
      CheckSpans(round.live, round.residual, round.bits, round.scales);
      for (const SignBlock& block : round.blocks) CheckSpans(block.bits, block.scales);
    }
    std::vector<OwnedRound> owned(rounds.begin(), rounds.end());
    return Launch([this, owned = std::move(owned)]() mutable {
      for (OwnedRound& round : owned) {
        round.args.blocks = round.blocks;
        round.args.segment_ends = round.segment_ends;
        Must(scalar_.SignRound(round.args));
        Spoil(round.args.bits);
      }
    });
  }

  absl::Status DenseMeans(absl::Span<const DeviceMeanArgs> means) override {
    for (const DeviceMeanArgs& mean : means) {
      CheckSpans(mean.output);
      for (const absl::Span<const uint8_t> input : mean.inputs) CheckSpans(input);
    }
    std::vector<OwnedMean> owned(means.begin(), means.end());
    return Launch([this, owned = std::move(owned)] {
      for (const OwnedMean& mean : owned) {
        MeanOfPayloads(scalar_, mean);
        Spoil(mean.args.output);
      }
    });
  }

  absl::Status Convert(DType from, absl::Span<const uint8_t> x, DType to,
                       absl::Span<uint8_t> out) override {
    CheckSpans(x, out);
    return Launch([=, this] {
      tally::Convert(scalar_, from, x, to, out);
      Spoil(out);
    });
  }

  absl::Status Binarise(const BinariseArgs& args) override {
    CheckSpans(args.moment, args.magnitude, args.gradient, args.bits);
    return Launch([=, this] {
      Must(scalar_.votes().Binarise(args));
      Spoil(args.bits);
    });
  }

  absl::Status CountVotes(absl::Span<const DeviceElectionArgs> elections) override {
    return LaunchElections(elections, [this](const OwnedElection& election) {
      return scalar_.votes().CountVotes(election.ballots, election.args.num_elements,
                                        election.args.output);
    });
  }

  absl::Status DrawVotes(absl::Span<const DeviceElectionArgs> elections) override {
    return LaunchElections(elections, [this](const OwnedElection& election) {
      return scalar_.votes().DrawVotes(election.ballots, election.args.num_elements,
                                       election.args.draws, election.args.output);
    });
  }

  absl::Status MajorityVotes(absl::Span<const DeviceElectionArgs> elections) override {
    return LaunchElections(elections, [this](const OwnedElection& election) {
      return scalar_.votes().MajorityVotes(election.ballots, election.args.num_elements,
                                           election.args.draws, election.args.output);
    });
  }

  absl::Status MeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                            absl::Span<float> mean) override {
    CheckSpans(planes, mean);
    return Launch([=, this] { Must(scalar_.votes().MeanOfCounts(planes, num_voters, mean)); });
  }

  absl::Status Sketch(const SketchShape& shape, absl::Span<const float> x,
                      absl::Span<float> table) override {
    CheckSpans(x, table);
    return Launch([=, this] { Must(scalar_.sketches().Sketch(shape, x, table)); });
  }

  absl::Status Estimate(const SketchShape& shape, absl::Span<const float> table,
                        absl::Span<float> x) override {
    CheckSpans(table, x);
    return Launch([=, this] { Must(scalar_.sketches().Estimate(shape, table, x)); });
  }

  absl::Status SelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                             absl::Span<uint32_t> indices, absl::Span<float> values) override {
    CheckSpans(x, live, indices, values);
    return Launch([=, this] {
      Must(scalar_.sketches().SelectLargest(x, live, indices));
      for (size_t k = 0; k < values.size(); ++k) values[k] = x[indices[k]];
    });
  }

  absl::Status SparseMean(absl::Span<const DeviceSparseBlock> blocks, uint32_t /*num_elements*/,
                          float divisor, absl::Span<uint32_t> indices, absl::Span<float> mean,
                          uint32_t* count) override {
    CheckSpans(indices, mean, absl::MakeSpan(count, 1));
    for (const DeviceSparseBlock& block : blocks) CheckSpans(block.indices, block.values);
    return Launch([=, own_blocks = Copied(blocks)] {
      MeanOfEntries(own_blocks, divisor, indices, mean, count);
    });
  }

  absl::Status Wait() override {
    std::vector<Work> works = std::exchange(works_, {});
    const absl::Status failure = device_.failure();
    if (!failure.ok()) works.erase(works.begin() + works.size() / 2, works.end());
    int num_kernels = 0;
    for (Work& work : works) {
      work.run();
      if (work.is_kernel) ++num_kernels;
    }
    if (num_kernels > 0) device_.CountKernels(num_kernels);
    return failure;
  }

 private:
  struct Work {
    bool is_kernel;
    absl::AnyInvocable<void()> run;
  };

  template <typename... Spans>
  void CheckSpans(Spans... spans) const {
    (device_.CheckHolds(spans.data(), spans.size() * sizeof(*spans.data())), ...);
  }

  absl::Status Enqueue(bool is_kernel, absl::AnyInvocable<void()> run) {
    TALLY_RETURN_IF_ERROR(device_.failure());
    works_.push_back({is_kernel, std::move(run)});
    return absl::OkStatus();
  }

  absl::Status Launch(absl::AnyInvocable<void()> kernel) {
    return Enqueue(/*is_kernel=*/true, std::move(kernel));
  }

  absl::Status EnqueueCopy(const void* from, void* to, size_t num_bytes) {
    return Enqueue(/*is_kernel=*/false, [=] {
      if (num_bytes > 0) std::memcpy(to, from, num_bytes);
    });
  }

  template <typename Hold>
  absl::Status LaunchElections(absl::Span<const DeviceElectionArgs> elections, Hold hold) {
    for (const DeviceElectionArgs& election : elections) {
      CheckSpans(election.output);
      for (const absl::Span<const uint8_t> ballot : election.ballots) CheckSpans(ballot);
    }
    std::vector<OwnedElection> owned(elections.begin(), elections.end());
    return Launch([owned = std::move(owned), hold] {
      for (const OwnedElection& election : owned) {
        Must(hold(election));
        Spoil(election.args.output);
      }
    });
  }

  FakeDevice& device_;
  const ScalarBackend scalar_;
  std::vector<Work> works_;
};

absl::StatusOr<std::unique_ptr<DeviceQueue>> FakeDevice::NewQueue() {
  TALLY_RETURN_IF_ERROR(failure());
  return std::make_unique<Queue>(this);
}

}  // namespace tally
