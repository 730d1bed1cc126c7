// What every back end is held to: the bits of the scalar one. The suite is written once, in
// *conformance_test.cc; this is its fixture, its data and its comparison.
#ifndef TALLY_KERNELS_CONFORMANCE_H_
#define TALLY_KERNELS_CONFORMANCE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/sign_block.h"
#include "kernels/simd/targets.h"

namespace tally {

// A back end, and for the one that chooses among instruction sets one of those.
struct ConformanceParam {
  std::string name;
  const Backend* backend;
  std::vector<simd::Target> forced_target;  // none or one
  // Its tests take few sizes, and small ones.
  bool is_slow = false;

  // How GoogleTest shows a parameter.
  friend void PrintTo(const ConformanceParam& param, std::ostream* os) { *os << param.name; }
};

// Every supported back end, the SIMD one once for each instruction set, one on a FakeDevice and one
// on the emulation of CUDA.
std::vector<ConformanceParam> ConformanceParams();

// For INSTANTIATE_TEST_SUITE_P.
std::string ConformanceName(const testing::TestParamInfo<ConformanceParam>& info);

// An array between two guards, from any element offset on, so that its start is as misaligned as
// the test asks.
template <typename T>
class GuardedArray {
 public:
  explicit GuardedArray(size_t size, size_t offset = 0)
      : elements_(kGuard + offset + size + kGuard), begin_(kGuard + offset), size_(size) {
    std::memset(elements_.data(), kGuardByte, elements_.size() * sizeof(T));
  }
  GuardedArray(absl::Span<const T> values, size_t offset) : GuardedArray(values.size(), offset) {
    std::copy(values.begin(), values.end(), span().begin());
  }

  absl::Span<T> span() { return absl::MakeSpan(elements_).subspan(begin_, size_); }
  absl::Span<const T> span() const { return absl::MakeSpan(elements_).subspan(begin_, size_); }

  // True if nothing wrote beside the array.
  bool IsIntact() const {
    const auto untouched = [](absl::Span<const T> guard) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(guard.data());
      for (size_t i = 0; i < guard.size() * sizeof(T); ++i) {
        if (bytes[i] != kGuardByte) return false;
      }
      return true;
    };
    const absl::Span<const T> all = absl::MakeSpan(elements_);
    return untouched(all.first(begin_)) && untouched(all.subspan(begin_ + size_));
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr uint8_t kGuardByte = 0xa5;

  std::vector<T> elements_;
  size_t begin_;
  size_t size_;
};

// Succeeds if both hold the same bits; any NaN equals any other, because which operand's payload a
// sum of two NaNs keeps is the compiler's choice.
testing::AssertionResult SameBits(absl::Span<const float> actual, absl::Span<const float> expected);
testing::AssertionResult SameBits(absl::Span<const double> actual,
                                  absl::Span<const double> expected);
testing::AssertionResult SameBits(absl::Span<const uint8_t> actual,
                                  absl::Span<const uint8_t> expected);

// SplitMix64: a generator that is cheap beside the kernels it feeds.
class TestRandom {
 public:
  explicit TestRandom(uint64_t seed) : state_(seed) {}

  uint32_t operator()();

 private:
  uint64_t state_;
};

// Runs the tests of one back end. Data depends on --gtest_random_seed alone, which every failure
// shows.
class ConformanceTest : public testing::TestWithParam<ConformanceParam> {
 protected:
  ConformanceTest();

  const Backend& backend() const { return *GetParam().backend; }
  const Backend& scalar() const { return *scalar_; }
  TestRandom& random() { return random_; }

  // Numbers of elements around every width of a vector, a tile and a block, and more than any cache
  // level holds.
  static std::vector<size_t> Sizes();

  // k/64 with |k| <= 256.
  std::vector<float> DyadicFloats(size_t size);
  // Finite numbers of all magnitudes down to subnormals, and both zeros.
  std::vector<float> WideFloats(size_t size);
  // WideFloats of moderate magnitude: squares and sums of them stay finite.
  std::vector<float> ModerateFloats(size_t size);
  // WideFloats among which are infinities and NaNs.
  std::vector<float> SpecialFloats(size_t size);
  std::vector<uint8_t> Bytes(size_t size);

 private:
  const Backend* const scalar_;
  const testing::ScopedTrace seed_trace_;
  TestRandom random_;
  std::unique_ptr<simd::TargetOverride> target_override_;
};

}  // namespace tally

#endif  // TALLY_KERNELS_CONFORMANCE_H_
