// The limits of the protocol. proto/ quotes them.
#ifndef TALLY_CODECS_LIMITS_H_
#define TALLY_CODECS_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace tally {

inline constexpr uint32_t kProtocolVersion = 1;

inline constexpr size_t kMaxSliceBytes = size_t{1} << 20;
// What we cut payloads into: gRPC moves messages of 128 KiB to 1 MiB fastest.
inline constexpr size_t kSliceBytes = size_t{512} << 10;

// How far a donor's state may run ahead of what its newcomer has taken in.
inline constexpr uint64_t kStateWindowBytes = uint64_t{1} << 20;

inline constexpr uint32_t kChunkElementsMultiple = 256;
// Blocks that share a scale are multiples of it.
inline constexpr uint32_t kScaleBlockMultiple = kChunkElementsMultiple;
inline constexpr uint32_t kMaxChunkElements = uint32_t{1} << 24;
inline constexpr uint32_t kDefaultChunkElements = uint32_t{1} << 20;
inline constexpr size_t kMaxTensors = 65'536;
inline constexpr size_t kMaxChunks = size_t{1} << 20;
// Bytes of all zero masks of a layout: a mask grows from a few bytes of message to a bit per
// element.
inline constexpr uint64_t kMaxMaskBytes = uint64_t{64} << 20;
inline constexpr uint64_t kMaxElements = uint64_t{1} << 40;
inline constexpr size_t kMaxTensorNameBytes = 1024;
inline constexpr size_t kMaxNameBytes = 255;  // of jobs, workers and aggregators
inline constexpr uint32_t kMaxRoster = 65'536;
inline constexpr size_t kMaxAggregators = 1024;
inline constexpr uint64_t kMaxRound = uint64_t{1} << 53;
inline constexpr uint32_t kDefaultSnapshotInterval = 32;
inline constexpr uint32_t kMaxSnapshotInterval = 4096;

// Where exchanges close without late members: a member that has missed so many running is waited
// for once more, then it is an observer. So nobody is further behind than the second number of
// rounds.
inline constexpr int kMaxMisses = 8;
inline constexpr int kMaxRoundsBehind = kMaxMisses + 2;
// How long an exchange waits for late members at most.
inline constexpr int kDefaultLateCeilingSeconds = 10;

// The longest pause before a worker tries again to reach an aggregator.
inline constexpr int kLongestReconnectPauseSeconds = 2;

// Rounds between two comparisons of the workers' replicated states.
inline constexpr uint64_t kReplicaInterval = 64;

// A sketch may have this many cells, however few elements its group has.
inline constexpr uint64_t kMinSketchCells = 65'536;

// No scale and no dense value is larger: then no sum over a full roster overflows fp32.
inline constexpr float kMaxMagnitude = 18446744073709551616.0f;  // 2^64

}  // namespace tally

#endif  // TALLY_CODECS_LIMITS_H_
