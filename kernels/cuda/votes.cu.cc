// Birder's votes.
#include <algorithm>
#include <array>
#include <vector>

#include "base/mix64.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/warp.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 256;
// Of one draw of the generator.
constexpr uint32_t kQuad = 4;

struct Election {
  const uint32_t* const* ballots;
  uint32_t num_voters;
  uint32_t num_planes;
  uint64_t num_elements;
  DrawStream draws;
  uint8_t* output;
};

struct ElectionsArgs {
  const Election* elections;
};

// The four words of elements element, element + 1, ... of a stream; `element` is a multiple of 4.
__device__ std::array<uint32_t, 4> DrawQuad(const DrawStream& draws, uint64_t element) {
  const uint64_t quad = element / kQuad;
  return Philox4x32({static_cast<uint32_t>(quad), static_cast<uint32_t>(quad >> 32),
                     static_cast<uint32_t>(draws.round), static_cast<uint32_t>(draws.round >> 32)},
                    {static_cast<uint32_t>(draws.key), static_cast<uint32_t>(draws.key >> 32)});
}

// Counts the ones of 32 elements in planes[p]: bit p of every count. Counts stay below
// 2^kPlanes.
template <uint32_t kPlanes>
__device__ void CountWord(const Election& election, uint64_t word, uint32_t valid,
                          uint32_t (&planes)[kPlanes]) {
  constexpr uint32_t kGroup = 8;
#pragma unroll
  for (uint32_t p = 0; p < kPlanes; ++p) planes[p] = 0;
  for (uint32_t base = 0; base < election.num_voters; base += kGroup) {
    uint32_t votes[kGroup];
#pragma unroll
    for (uint32_t k = 0; k < kGroup; ++k) {
      votes[k] = base + k < election.num_voters ? election.ballots[base + k][word] & valid : 0;
    }
#pragma unroll
    for (uint32_t k = 0; k < kGroup; ++k) {
      uint32_t carry = votes[k];
#pragma unroll
      for (uint32_t p = 0; p < kPlanes; ++p) {
        const uint32_t both = planes[p] & carry;
        planes[p] ^= carry;
        carry = both;
      }
    }
  }
}

template <uint32_t kPlanes>
__device__ uint32_t CountOf(const uint32_t (&planes)[kPlanes], uint32_t bit) {
  uint32_t count = 0;
#pragma unroll
  for (uint32_t p = 0; p < kPlanes; ++p) count |= (planes[p] >> bit & 1) << p;
  return count;
}

struct StoreCounts {
  template <uint32_t kPlanes>
  __device__ static void Store(const Election& election, uint64_t word,
                               const uint32_t (&planes)[kPlanes]) {
    const uint64_t plane_bytes = (election.num_elements + 7) / 8;
    const auto num_bytes = static_cast<uint32_t>(min(uint64_t{4}, plane_bytes - word * 4));
#pragma unroll
    for (uint32_t p = 0; p < kPlanes; ++p) {
      if (p >= election.num_planes) continue;
      uint8_t* const bytes = election.output + p * plane_bytes + word * 4;
      // Planes follow each other without a gap.
      if (plane_bytes % 4 == 0) {
        *reinterpret_cast<uint32_t*>(bytes) = planes[p];
      } else {
        for (uint32_t i = 0; i < num_bytes; ++i) {
          bytes[i] = static_cast<uint8_t>(planes[p] >> (8 * i));
        }
      }
    }
  }
};

struct StoreDraws {
  template <uint32_t kPlanes>
  __device__ static void Store(const Election& election, uint64_t word,
                               const uint32_t (&planes)[kPlanes]) {
    uint32_t bits = 0;
#pragma unroll
    for (uint32_t first = 0; first < 32; first += kQuad) {
      const std::array<uint32_t, 4> draws =
          DrawQuad(election.draws, election.draws.first_element + word * 32 + first);
#pragma unroll
      for (uint32_t j = 0; j < kQuad; ++j) {
        const bool bit = ScaleTo(draws[j], election.num_voters) < CountOf(planes, first + j);
        bits |= (bit ? 1u : 0u) << (first + j);
      }
    }
    reinterpret_cast<uint32_t*>(election.output)[word] = bits;
  }
};

struct StoreMajority {
  template <uint32_t kPlanes>
  __device__ static void Store(const Election& election, uint64_t word,
                               const uint32_t (&planes)[kPlanes]) {
    uint32_t bits = 0;
    uint32_t tied = 0;
#pragma unroll
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t twice = 2 * CountOf(planes, i);
      bits |= (twice > election.num_voters ? 1u : 0u) << i;
      tied |= (twice == election.num_voters ? 1u : 0u) << i;
    }
    for (uint32_t first = 0; first < 32; first += kQuad) {
      if ((tied >> first & 15) == 0) continue;
      const std::array<uint32_t, 4> draws =
          DrawQuad(election.draws, election.draws.first_element + word * 32 + first);
#pragma unroll
      for (uint32_t j = 0; j < kQuad; ++j) {
        if ((tied >> (first + j) & 1) != 0) bits |= (draws[j] >> 31) << (first + j);
      }
    }
    reinterpret_cast<uint32_t*>(election.output)[word] = bits;
  }
};

// One election a row of blocks, 32 elements a thread.
template <typename Outcome, uint32_t kPlanes>
__global__ void __launch_bounds__(kThreads) ElectionsKernel(ElectionsArgs args) {
  const Election election = args.elections[blockIdx.y];
  const uint64_t word = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (word * 32 >= election.num_elements) return;
  const uint32_t valid =
      LowBits(static_cast<uint32_t>(min(uint64_t{32}, election.num_elements - word * 32)));
  uint32_t planes[kPlanes];
  CountWord(election, word, valid, planes);
  Outcome::Store(election, word, planes);
}

template <typename Outcome>
absl::Status RunElections(absl::Span<const DeviceElectionArgs> elections, QueueMemory& memory,
                          cudaStream_t stream) {
  std::vector<const uint32_t*> ballots;
  for (const DeviceElectionArgs& election : elections) {
    for (const absl::Span<const uint8_t> ballot : election.ballots) {
      ballots.push_back(reinterpret_cast<const uint32_t*>(ballot.data()));
    }
  }
  TALLY_ASSIGN_OR_RETURN(const uint32_t* const* const device_ballots,
                         memory.Upload(absl::MakeConstSpan(ballots)));
  std::vector<Election> batch;
  size_t first_ballot = 0;
  uint64_t most_elements = 0;
  uint32_t most_planes = 0;
  for (const DeviceElectionArgs& election : elections) {
    const auto num_voters = static_cast<uint32_t>(election.ballots.size());
    batch.push_back({.ballots = device_ballots + first_ballot,
                     .num_voters = num_voters,
                     .num_planes = CountPlanes(num_voters),
                     .num_elements = election.num_elements,
                     .draws = election.draws,
                     .output = election.output.data()});
    first_ballot += election.ballots.size();
    most_elements = std::max<uint64_t>(most_elements, election.num_elements);
    most_planes = std::max(most_planes, batch.back().num_planes);
  }
  TALLY_ASSIGN_OR_RETURN(const Election* const device_batch,
                         memory.Upload(absl::MakeConstSpan(batch)));
  const uint64_t num_words = (most_elements + 31) / 32;
  const LaunchShape shape = {
      dim3(BlocksFor(num_words, kThreads), static_cast<uint32_t>(batch.size())), kThreads};
  if (most_planes <= 4) {
    return Launch(ElectionsKernel<Outcome, 4>, shape, stream, {device_batch});
  }
  if (most_planes <= 6) {
    return Launch(ElectionsKernel<Outcome, 6>, shape, stream, {device_batch});
  }
  return Launch(ElectionsKernel<Outcome, 17>, shape, stream, {device_batch});
}

struct BinariseKernelArgs {
  float* moment;
  float* magnitude;
  const float* gradient;
  float beta;
  float one_minus_beta;
  float magnitude_beta;
  float one_minus_magnitude_beta;
  DrawStream draws;
  uint32_t* bits;
  uint64_t num_elements;
};

// Four elements a thread; eight threads make a word of the bitmap.
__global__ void __launch_bounds__(kThreads) BinariseKernel(BinariseKernelArgs args) {
  const uint64_t quad = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  const uint64_t begin = quad * kQuad;
  uint32_t nibble = 0;
  if (begin < args.num_elements) {
    const std::array<uint32_t, 4> draws = DrawQuad(args.draws, args.draws.first_element + begin);
    const auto count = static_cast<uint32_t>(min(uint64_t{kQuad}, args.num_elements - begin));
#pragma unroll
    for (uint32_t j = 0; j < kQuad; ++j) {
      if (j >= count) continue;
      const uint64_t i = begin + j;
      const float g = args.gradient[i];
      const float m = args.beta * args.moment[i] + args.one_minus_beta * g;
      const float b =
          args.magnitude_beta * args.magnitude[i] + args.one_minus_magnitude_beta * fabsf(g);
      args.moment[i] = m;
      args.magnitude[i] = b;
      float u = 0.0f;
      if (b > 0.0f) {
        u = m / b;
        u = u < -1.0f ? -1.0f : (1.0f < u ? 1.0f : u);
      }
      const auto threshold = static_cast<uint32_t>((1.0f + u) * 0x1p23f);
      nibble |= ((draws[j] >> 8) < threshold ? 1u : 0u) << j;
    }
  }
  const uint32_t position = LaneId() % 8;
  uint32_t word = nibble << (kQuad * position);
#pragma unroll
  for (uint32_t distance = 1; distance < 8; distance *= 2) {
    word |= __shfl_xor_sync(kAllLanes, word, distance);
  }
  if (position == 0 && begin < args.num_elements) args.bits[quad / 8] = word;
}

struct MeanOfCountsArgs {
  const uint8_t* planes;
  uint32_t num_planes;
  uint32_t num_voters;
  float* mean;
  uint64_t num_elements;
};

__global__ void MeanOfCountsKernel(MeanOfCountsArgs args) {
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= args.num_elements) return;
  const uint64_t plane_bytes = (args.num_elements + 7) / 8;
  int32_t count = 0;
  for (uint32_t p = 0; p < args.num_planes; ++p) {
    count |= (args.planes[p * plane_bytes + i / 8] >> (i % 8) & 1) << p;
  }
  args.mean[i] = static_cast<float>(2 * count - static_cast<int32_t>(args.num_voters)) /
                 static_cast<float>(args.num_voters);
}

}  // namespace

absl::Status CudaQueue::Binarise(const BinariseArgs& args) {
  const uint64_t num_elements = args.moment.size();
  const uint64_t num_quads = (num_elements + kQuad - 1) / kQuad;
  return Checked(Launch(BinariseKernel, {BlocksFor(num_quads, kThreads), kThreads}, stream_,
                        {.moment = args.moment.data(),
                         .magnitude = args.magnitude.data(),
                         .gradient = args.gradient.data(),
                         .beta = args.beta,
                         .one_minus_beta = args.one_minus_beta,
                         .magnitude_beta = args.magnitude_beta,
                         .one_minus_magnitude_beta = args.one_minus_magnitude_beta,
                         .draws = args.draws,
                         .bits = reinterpret_cast<uint32_t*>(args.bits.data()),
                         .num_elements = num_elements}));
}

absl::Status CudaQueue::CountVotes(absl::Span<const DeviceElectionArgs> elections) {
  return Checked(RunElections<StoreCounts>(elections, memory_, stream_));
}

absl::Status CudaQueue::DrawVotes(absl::Span<const DeviceElectionArgs> elections) {
  return Checked(RunElections<StoreDraws>(elections, memory_, stream_));
}

absl::Status CudaQueue::MajorityVotes(absl::Span<const DeviceElectionArgs> elections) {
  return Checked(RunElections<StoreMajority>(elections, memory_, stream_));
}

absl::Status CudaQueue::MeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                                     absl::Span<float> mean) {
  return Checked(
      Launch(MeanOfCountsKernel, {BlocksFor(mean.size(), kThreads), kThreads}, stream_,
             {planes.data(), CountPlanes(num_voters), num_voters, mean.data(), mean.size()}));
}

}  // namespace tally::cuda
