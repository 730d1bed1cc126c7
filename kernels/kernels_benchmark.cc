// Question: how fast is each kernel on one core when its arrays lie in memory rather than in cache,
// and how near does it come to what that memory gives to memcpy?
//
// The working set of a row is the bytes that the kernel must read plus those it must write: an
// array counts once if it is read and once if it is written, however often the kernel passes over
// it. (AccumulateAndPack is two kernels, each counted for itself: the second one reads again what
// the first one wrote.) The memcpy row of the same name copies half as many bytes, so it reads and
// writes as many in all; the ratio of the two rows' bytes_per_second is the figure to look at, for
// both move with the machine's mood. items_per_second counts signs (elements x participants) for
// the sign kernels over several participants and elements for the others.
//
// Not answered: throughput in cache (the service's chunks fit into one), and how kernels on several
// cores share memory.
//
//   bazel run //kernels:kernels_benchmark -- --benchmark_filter=SignRound
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "benchmark/benchmark.h"
#include "kernels/backend.h"
#include "kernels/backends.h"

namespace tally {
namespace {

constexpr size_t kNumElements = 16 << 20;
constexpr size_t kMaxParticipants = 32;
constexpr size_t kDenseElements = 4 << 20;
constexpr size_t kDenseParticipants = 8;

// An array that starts at a cache line, as the service's do.
template <typename T>
class Array {
 public:
  explicit Array(size_t size) : bytes_(size * sizeof(T) + kLineBytes), size_(size) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(bytes_.data());
    data_ = reinterpret_cast<T*>((begin + kLineBytes - 1) / kLineBytes * kLineBytes);
  }
  Array(const Array& other) : Array(other.size_) { std::copy_n(other.data_, size_, data_); }
  Array& operator=(const Array&) = delete;

  absl::Span<T> span() { return {data_, size_}; }
  absl::Span<const T> span() const { return {data_, size_}; }

 private:
  static constexpr size_t kLineBytes = 64;

  std::vector<uint8_t> bytes_;
  size_t size_;
  T* data_;
};

Array<float> RandomFloats(size_t size, uint32_t seed) {
  std::minstd_rand random(seed);
  Array<float> floats(size);
  for (float& x : floats.span())
    x = static_cast<float>(static_cast<int>(random() % 513) - 256) / 64;
  return floats;
}

Array<uint8_t> RandomBytes(size_t size, uint32_t seed) {
  std::minstd_rand random(seed);
  Array<uint8_t> bytes(size);
  for (uint8_t& byte : bytes.span()) byte = static_cast<uint8_t>(random() >> 8);
  return bytes;
}

// What a kernel is measured on. Run() may be called again and again.
class Workload {
 public:
  virtual ~Workload() = default;
  virtual absl::Status Run(const Backend& backend) = 0;
  // Everything that Run() wrote, as bytes.
  virtual std::vector<absl::Span<const uint8_t>> Outputs() const = 0;
  virtual size_t WorkingSetBytes() const = 0;
  virtual size_t Items() const = 0;
};

template <typename T>
absl::Span<const uint8_t> AsBytes(absl::Span<const T> x) {
  return {reinterpret_cast<const uint8_t*>(x.data()), x.size() * sizeof(T)};
}

// Participants' sign blocks and the segments they share.
struct SignInputs {
  SignInputs(size_t participants, size_t segment_elements) {
    for (size_t end = segment_elements; end <= kNumElements; end += segment_elements) {
      segment_ends.push_back(static_cast<uint32_t>(end));
    }
    for (size_t n = 0; n < participants; ++n) {
      bits.push_back(RandomBytes(BitmapBytes(kNumElements), static_cast<uint32_t>(n + 1)));
      scales.push_back(RandomFloats(segment_ends.size(), static_cast<uint32_t>(n + 101)));
      for (float& scale : scales.back().span()) scale = std::abs(scale);
    }
    for (size_t n = 0; n < participants; ++n) blocks.push_back({bits[n].span(), scales[n].span()});
  }

  size_t Bytes() const {
    return blocks.size() * (BitmapBytes(kNumElements) + segment_ends.size() * sizeof(float));
  }

  std::vector<uint32_t> segment_ends;
  std::vector<Array<uint8_t>> bits;
  std::vector<Array<float>> scales;
  std::vector<SignBlock> blocks;
};

class SumSigns final : public Workload {
 public:
  explicit SumSigns(size_t participants) : inputs_(participants, 4096), out_(kNumElements) {}

  absl::Status Run(const Backend& backend) override {
    return backend.SumSigns(inputs_.blocks, inputs_.segment_ends, {}, out_.span());
  }
  std::vector<absl::Span<const uint8_t>> Outputs() const override { return {AsBytes(out_.span())}; }
  size_t WorkingSetBytes() const override { return inputs_.Bytes() + AsBytes(out_.span()).size(); }
  size_t Items() const override { return inputs_.blocks.size() * kNumElements; }

 private:
  const SignInputs inputs_;
  Array<float> out_;
};

class SignRound final : public Workload {
 public:
  SignRound(size_t participants, size_t segment_elements)
      : inputs_(participants, segment_elements),
        residual_(RandomFloats(kNumElements, 7)),
        bits_(BitmapBytes(kNumElements)),
        scales_(inputs_.segment_ends.size()) {}

  absl::Status Run(const Backend& backend) override {
    return backend.SignRound({.blocks = inputs_.blocks,
                              .divisor = static_cast<float>(inputs_.blocks.size()),
                              .segment_ends = inputs_.segment_ends,
                              .live = {},
                              .rule = ScaleRule::kRootMeanSquare,
                              .residual = residual_.span(),
                              .bits = bits_.span(),
                              .scales = scales_.span()});
  }
  std::vector<absl::Span<const uint8_t>> Outputs() const override {
    return {AsBytes(residual_.span()), bits_.span(), AsBytes(scales_.span())};
  }
  size_t WorkingSetBytes() const override {
    return inputs_.Bytes() + 2 * AsBytes(residual_.span()).size() + bits_.span().size() +
           AsBytes(scales_.span()).size();
  }
  size_t Items() const override { return inputs_.blocks.size() * kNumElements; }

 private:
  const SignInputs inputs_;
  Array<float> residual_;
  Array<uint8_t> bits_;
  Array<float> scales_;
};

// The worker's two passes over one chunk after the other, with one scale per chunk.
class AccumulateAndPack final : public Workload {
 public:
  AccumulateAndPack()
      : counted_(1, kChunkElements),
        sum_(RandomFloats(kNumElements, 8)),
        input_(RandomFloats(kNumElements, 9)),
        bits_(BitmapBytes(kNumElements)),
        norms_(counted_.segment_ends.size()) {}

  absl::Status Run(const Backend& backend) override {
    for (size_t chunk = 0; chunk < norms_.span().size(); ++chunk) {
      TALLY_RETURN_IF_ERROR(RunChunk(backend, chunk));
    }
    return absl::OkStatus();
  }
  std::vector<absl::Span<const uint8_t>> Outputs() const override {
    return {AsBytes(sum_.span()), bits_.span(), AsBytes(norms_.span())};
  }
  size_t WorkingSetBytes() const override {
    return counted_.Bytes() + 3 * AsBytes(sum_.span()).size() + AsBytes(input_.span()).size() +
           bits_.span().size() + AsBytes(norms_.span()).size();
  }
  size_t Items() const override { return kNumElements; }

 private:
  static constexpr size_t kChunkElements = 1 << 20;

  absl::Status RunChunk(const Backend& backend, size_t chunk) {
    const size_t begin = chunk * kChunkElements;
    const size_t chunk_bytes = BitmapBytes(kChunkElements);
    const absl::Span<float> sum = sum_.span().subspan(begin, kChunkElements);
    const SignBlock& counted = counted_.blocks[0];
    TALLY_RETURN_IF_ERROR(
        backend.Accumulate({.sum = sum,
                            .input = input_.span().subspan(begin, kChunkElements),
                            .counted = {counted.bits.subspan(chunk * chunk_bytes, chunk_bytes),
                                        counted.scales.subspan(chunk, 1)},
                            .segment_ends = {static_cast<uint32_t>(kChunkElements)},
                            .live = {},
                            .rule = ScaleRule::kMeanMagnitude,
                            .norms = norms_.span().subspan(chunk, 1)}));
    return backend.PackSigns(sum, bits_.span().subspan(chunk * chunk_bytes, chunk_bytes));
  }

  const SignInputs counted_;
  Array<float> sum_;
  const Array<float> input_;
  Array<uint8_t> bits_;
  Array<double> norms_;
};

class DenseMean final : public Workload {
 public:
  explicit DenseMean(DType dtype) : dtype_(dtype), output_(kDenseElements * ElementBytes(dtype)) {
    for (size_t n = 0; n < kDenseParticipants; ++n) {
      inputs_.push_back(RandomBytes(output_.span().size(), static_cast<uint32_t>(n + 1)));
      // No exponent of ones: what is added stays finite.
      for (uint8_t& byte : inputs_.back().span()) byte &= 0xbf;
    }
    for (const Array<uint8_t>& input : inputs_) spans_.push_back(input.span());
  }

  absl::Status Run(const Backend& backend) override {
    return backend.DenseMean(dtype_, spans_, kDenseParticipants, output_.span());
  }
  std::vector<absl::Span<const uint8_t>> Outputs() const override { return {output_.span()}; }
  size_t WorkingSetBytes() const override {
    return (kDenseParticipants + 1) * output_.span().size();
  }
  size_t Items() const override { return kDenseElements; }

 private:
  const DType dtype_;
  std::vector<Array<uint8_t>> inputs_;
  std::vector<absl::Span<const uint8_t>> spans_;
  Array<uint8_t> output_;
};

class AdamStep final : public Workload {
 public:
  AdamStep()
      : parameters_(RandomFloats(kNumElements, 10)),
        first_(RandomFloats(kNumElements, 11)),
        second_(kNumElements),
        gradient_(RandomFloats(kNumElements, 12)) {}

  absl::Status Run(const Backend& backend) override {
    return backend.AdamStep({.parameters = parameters_.span(),
                             .first_moment = first_.span(),
                             .second_moment = second_.span(),
                             .largest_moment = {},
                             .gradient = gradient_.span(),
                             .beta1 = 0.9f,
                             .one_minus_beta1 = 0.1f,
                             .beta2 = 0.999f,
                             .one_minus_beta2 = 0.001f,
                             .learning_rate = 0.001f,
                             .first_correction = 1.0f,
                             .second_correction = 1.0f,
                             .epsilon = 1e-8f,
                             .weight_decay = 0.01f});
  }
  std::vector<absl::Span<const uint8_t>> Outputs() const override {
    return {AsBytes(parameters_.span()), AsBytes(first_.span()), AsBytes(second_.span())};
  }
  size_t WorkingSetBytes() const override { return 7 * kNumElements * sizeof(float); }
  size_t Items() const override { return kNumElements; }

 private:
  Array<float> parameters_;
  Array<float> first_;
  Array<float> second_;
  const Array<float> gradient_;
};

using MakeWorkload = std::function<std::unique_ptr<Workload>()>;

// True if one run gives the bits of the scalar back end.
bool IsVerified(const Backend& backend, const MakeWorkload& make) {
  const std::unique_ptr<Workload> expected = make();
  const std::unique_ptr<Workload> actual = make();
  if (!expected->Run(*SupportedBackends().front()).ok() || !actual->Run(backend).ok()) return false;
  return actual->Outputs() == expected->Outputs();
}

void RunKernel(benchmark::State& state, const Backend& backend, const MakeWorkload& make) {
  if (!IsVerified(backend, make)) {
    state.SkipWithError("output differs from the scalar back end's");
    return;
  }
  const std::unique_ptr<Workload> workload = make();
  for (auto _ : state) workload->Run(backend).IgnoreError();
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * workload->WorkingSetBytes()));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * workload->Items()));
}

void RunMemcpy(benchmark::State& state, const MakeWorkload& make) {
  const size_t num_bytes = make()->WorkingSetBytes() / 2;
  const Array<uint8_t> source = RandomBytes(num_bytes, 1);
  Array<uint8_t> target(num_bytes);
  for (auto _ : state) {
    std::memcpy(target.span().data(), source.span().data(), num_bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * 2 * num_bytes));
}

void Register(const std::string& name, const MakeWorkload& make) {
  benchmark::RegisterBenchmark(absl::StrCat(name, "/memcpy").c_str(),
                               [make](benchmark::State& state) { RunMemcpy(state, make); });
  for (const Backend* backend : SupportedBackends()) {
    benchmark::RegisterBenchmark(
        absl::StrCat(name, "/", std::string(backend->name())).c_str(),
        [backend, make](benchmark::State& state) { RunKernel(state, *backend, make); });
  }
}

void RegisterAll() {
  for (const size_t participants : {size_t{8}, kMaxParticipants}) {
    Register(absl::StrCat("SumSigns/participants:", participants),
             [=] { return std::make_unique<SumSigns>(participants); });
  }
  for (const size_t segment_elements : {size_t{4096}, size_t{1} << 20}) {
    for (const size_t participants : {size_t{8}, kMaxParticipants}) {
      Register(absl::StrCat("SignRound/segment:", segment_elements, "/participants:", participants),
               [=] { return std::make_unique<SignRound>(participants, segment_elements); });
    }
  }
  Register("AccumulateAndPack", [] { return std::make_unique<AccumulateAndPack>(); });
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    Register(absl::StrCat("DenseMean/participants:", kDenseParticipants, "/",
                          std::string(DTypeName(dtype))),
             [=] { return std::make_unique<DenseMean>(dtype); });
  }
  Register("AdamStep", [] { return std::make_unique<AdamStep>(); });
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  tally::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
