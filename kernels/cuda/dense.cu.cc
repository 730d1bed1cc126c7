// Means and conversions of dense payloads.
#include <algorithm>
#include <vector>

#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/dense_format.cu.h"
#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 256;
// What a thread loads of an input at once.
constexpr uint32_t kVectorBytes = 16;

struct DenseMean {
  const void* const* inputs;
  uint32_t num_inputs;
  float divisor;
  void* output;
  uint64_t num_elements;
  bool is_aligned;  // everything at multiples of kVectorBytes
};

struct DenseMeansArgs {
  const DenseMean* means;
};

template <typename Format>
union InputVector {
  static constexpr uint32_t kElements = kVectorBytes / sizeof(typename Format::Word);
  uint4 vector;
  typename Format::Word words[kElements];
};

// What a thread writes: 8, 16 or 32 bytes.
template <typename Format, uint32_t kElements>
struct alignas(8) OutputVector {
  typename Format::Word words[kElements];

  __device__ void Store(void* output) const {
    constexpr uint32_t kParts = kElements * sizeof(typename Format::Word) / sizeof(uint2);
    const auto* const from = reinterpret_cast<const uint2*>(words);
    if constexpr (kParts == 1) {
      __stcs(static_cast<uint2*>(output), *from);
    } else {
#pragma unroll
      for (uint32_t i = 0; i < kParts; i += 2) {
        __stcs(static_cast<uint4*>(output) + i / 2,
               uint4{from[i].x, from[i].y, from[i + 1].x, from[i + 1].y});
      }
    }
  }
};

// One mean a row of blocks, one vector a thread.
template <typename In, typename Out>
__global__ void __launch_bounds__(kThreads) DenseMeansKernel(DenseMeansArgs args) {
  constexpr uint32_t kElements = InputVector<In>::kElements;
  // So many inputs' loads are under way at once.
  constexpr uint32_t kGroup = 8;
  const DenseMean mean = args.means[blockIdx.y];
  const uint64_t index = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  const uint64_t begin = index * kElements;
  if (begin >= mean.num_elements) return;
  auto* const output = static_cast<typename Out::Word*>(mean.output) + begin;
  if (!mean.is_aligned || begin + kElements > mean.num_elements) {
    const auto count = static_cast<uint32_t>(min(uint64_t{kElements}, mean.num_elements - begin));
    for (uint32_t i = 0; i < count; ++i) {
      float sum = -0.0f;  // -0 + x is x, also for -0
      for (uint32_t n = 0; n < mean.num_inputs; ++n) {
        sum += In::Decode(static_cast<const typename In::Word*>(mean.inputs[n])[begin + i]);
      }
      output[i] = Out::Encode(sum / mean.divisor);
    }
    return;
  }
  float sum[kElements];
#pragma unroll
  for (uint32_t i = 0; i < kElements; ++i) sum[i] = -0.0f;
  for (uint32_t base = 0; base < mean.num_inputs; base += kGroup) {
    InputVector<In> inputs[kGroup];
#pragma unroll
    for (uint32_t k = 0; k < kGroup; ++k) {
      if (base + k < mean.num_inputs) {
        inputs[k].vector = __ldcs(static_cast<const uint4*>(mean.inputs[base + k]) + index);
      }
    }
#pragma unroll
    for (uint32_t k = 0; k < kGroup; ++k) {
      if (base + k < mean.num_inputs) {
#pragma unroll
        for (uint32_t i = 0; i < kElements; ++i) sum[i] += In::Decode(inputs[k].words[i]);
      }
    }
  }
  OutputVector<Out, kElements> result;
#pragma unroll
  for (uint32_t i = 0; i < kElements; ++i) result.words[i] = Out::Encode(sum[i] / mean.divisor);
  result.Store(output);
}

struct ConvertArgs {
  const void* input;
  void* output;
  uint64_t num_elements;
};

template <typename In, typename Out>
__global__ void ConvertKernel(ConvertArgs args) {
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= args.num_elements) return;
  static_cast<typename Out::Word*>(args.output)[i] =
      Out::Encode(In::Decode(static_cast<const typename In::Word*>(args.input)[i]));
}

bool IsAligned(const void* memory) {
  return reinterpret_cast<uintptr_t>(memory) % kVectorBytes == 0;
}

}  // namespace

absl::Status CudaQueue::DenseMeans(absl::Span<const DeviceMeanArgs> means) {
  std::vector<const void*> inputs;
  for (const DeviceMeanArgs& mean : means) {
    for (const absl::Span<const uint8_t> input : mean.inputs) inputs.push_back(input.data());
  }
  TALLY_ASSIGN_OR_RETURN(const void* const* const device_inputs,
                         memory_.Upload(absl::MakeConstSpan(inputs)));
  // Of each pair of formats one launch.
  for (const DType in : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (const DType out : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      std::vector<DenseMean> batch;
      uint64_t most_elements = 0;
      size_t first_input = 0;
      for (const DeviceMeanArgs& mean : means) {
        const size_t begin = first_input;
        first_input += mean.inputs.size();
        if (mean.dtype != in || mean.output_dtype != out) continue;
        const uint64_t num_elements = mean.output.size() / ElementBytes(out);
        most_elements = std::max(most_elements, num_elements);
        batch.push_back({.inputs = device_inputs + begin,
                         .num_inputs = static_cast<uint32_t>(mean.inputs.size()),
                         .divisor = mean.divisor,
                         .output = mean.output.data(),
                         .num_elements = num_elements,
                         .is_aligned = IsAligned(mean.output.data()) &&
                                       std::all_of(mean.inputs.begin(), mean.inputs.end(),
                                                   [](absl::Span<const uint8_t> input) {
                                                     return IsAligned(input.data());
                                                   })});
      }
      if (batch.empty()) continue;
      TALLY_ASSIGN_OR_RETURN(const DenseMean* const device_batch,
                             memory_.Upload(absl::MakeConstSpan(batch)));
      const uint64_t block_elements = kThreads * (kVectorBytes / ElementBytes(in));
      const LaunchShape shape = {
          dim3(BlocksFor(most_elements, block_elements), static_cast<uint32_t>(batch.size())),
          kThreads};
      TALLY_RETURN_IF_ERROR(Checked(WithFormat(in, [&](auto in_format) {
        return WithFormat(out, [&](auto out_format) {
          return Launch(DenseMeansKernel<decltype(in_format), decltype(out_format)>, shape, stream_,
                        {device_batch});
        });
      })));
    }
  }
  return absl::OkStatus();
}

absl::Status CudaQueue::Convert(DType from, absl::Span<const uint8_t> x, DType to,
                                absl::Span<uint8_t> out) {
  const uint64_t num_elements = x.size() / ElementBytes(from);
  const LaunchShape shape = {BlocksFor(num_elements, kThreads), kThreads};
  return Checked(WithFormat(from, [&](auto in_format) {
    return WithFormat(to, [&](auto out_format) {
      return Launch(ConvertKernel<decltype(in_format), decltype(out_format)>, shape, stream_,
                    {x.data(), out.data(), num_elements});
    });
  }));
}

}  // namespace tally::cuda
