#include "kernels/conformance.h"

#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "kernels/backends.h"
#include "kernels/cuda/emulation/emulated_device.h"
#include "kernels/device/device_backend.h"
#include "kernels/device/fake_device.h"

namespace tally {
namespace {

template <typename Word, typename T>
testing::AssertionResult SameBitsAs(absl::Span<const T> actual, absl::Span<const T> expected) {
  if (actual.size() != expected.size()) {
    return testing::AssertionFailure()
           << "has " << actual.size() << " elements, expected " << expected.size();
  }
  for (size_t i = 0; i < actual.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    }
    if (std::bit_cast<Word>(actual[i]) == std::bit_cast<Word>(expected[i])) continue;
    return testing::AssertionFailure()
           << "element " << i << " of " << actual.size() << " is " << +actual[i] << " (0x"
           << absl::StrCat(absl::Hex(std::bit_cast<Word>(actual[i]))) << "), expected "
           << +expected[i] << " (0x" << absl::StrCat(absl::Hex(std::bit_cast<Word>(expected[i])))
           << ")";
  }
  return testing::AssertionSuccess();
}

// Any sign and mantissa, with an exponent (biased, 0: subnormal) between the two given.
float RandomFloat(TestRandom& random, uint32_t smallest_exponent, uint32_t largest_exponent) {
  const uint32_t num_exponents = largest_exponent - smallest_exponent + 1;
  const uint32_t exponent = smallest_exponent + random() % num_exponents;
  const uint32_t rest = random() & 0x807fffff;
  return std::bit_cast<float>(rest | exponent << 23);
}

// What it computes on its device is scalar's: the suite tests how arguments and results travel.
const Backend* FakeDeviceBackend() {
  static const Backend& backend =
      *new DeviceBackend("device_fake", std::make_unique<FakeDevice>(), SupportedBackends().front(),
                         /*max_lanes=*/1);
  return &backend;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TALLY_WITHOUT_FIBERS
#endif
#endif

// CUDA's kernels without a GPU.
[[maybe_unused]] const Backend* EmulatedBackend() {
  static const Backend& backend =
      *new DeviceBackend("cuda_emulated", OpenEmulatedDevice().value(), SupportedBackends().front(),
                         /*max_lanes=*/1);
  return &backend;
}

}  // namespace

std::vector<ConformanceParam> ConformanceParams() {
  std::vector<ConformanceParam> params;
  for (const Backend* backend : SupportedBackends()) {
    const std::string name(backend->name());
    if (name != "simd") {
      params.push_back({name, backend, {}});
      continue;
    }
    for (const simd::Target& target : simd::SupportedTargets()) {
      params.push_back({absl::StrCat(name, "_", target.name), backend, {target}});
    }
  }
  params.push_back({std::string(FakeDeviceBackend()->name()), FakeDeviceBackend(), {}});
#ifndef TALLY_WITHOUT_FIBERS  // AddressSanitizer takes many minutes over their stacks
  params.push_back({std::string(EmulatedBackend()->name()), EmulatedBackend(), {}, true});
#endif
  return params;
}

std::string ConformanceName(const testing::TestParamInfo<ConformanceParam>& info) {
  return info.param.name;
}

testing::AssertionResult SameBits(absl::Span<const float> actual,
                                  absl::Span<const float> expected) {
  return SameBitsAs<uint32_t>(actual, expected);
}

testing::AssertionResult SameBits(absl::Span<const double> actual,
                                  absl::Span<const double> expected) {
  return SameBitsAs<uint64_t>(actual, expected);
}

testing::AssertionResult SameBits(absl::Span<const uint8_t> actual,
                                  absl::Span<const uint8_t> expected) {
  return SameBitsAs<uint8_t>(actual, expected);
}

uint32_t TestRandom::operator()() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t bits = state_;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return static_cast<uint32_t>((bits ^ bits >> 31) >> 32);
}

ConformanceTest::ConformanceTest()
    : scalar_(SupportedBackends().front()),
      seed_trace_(
          __FILE__, __LINE__,
          absl::StrCat("--gtest_random_seed=", testing::UnitTest::GetInstance()->random_seed())),
      random_(static_cast<uint64_t>(testing::UnitTest::GetInstance()->random_seed())) {
  if (!GetParam().forced_target.empty()) {
    target_override_ = std::make_unique<simd::TargetOverride>(GetParam().forced_target.front());
  }
}

std::vector<size_t> ConformanceTest::Sizes() {
  if (GetParam().is_slow) return {0, 1, 31, 33, 131, 4099};
  std::set<size_t> sizes = {0, 1, (1 << 20) + 1};
  for (const size_t width : {8, 16, 32, 64, 128, 4096}) {
    sizes.insert({width - 1, width, width + 1, 4 * width + 3});
  }
  return {sizes.begin(), sizes.end()};
}

std::vector<float> ConformanceTest::DyadicFloats(size_t size) {
  std::vector<float> floats(size);
  for (float& x : floats) x = static_cast<float>(static_cast<int>(random_() % 513) - 256) / 64;
  return floats;
}

std::vector<float> ConformanceTest::WideFloats(size_t size) {
  std::vector<float> floats(size);
  for (float& x : floats) {
    x = RandomFloat(random_, 0, 254);
    if (random_() % 16 == 0) x = std::copysign(0.0f, x);
    if (random_() % 16 == 0) x = std::copysign(std::numeric_limits<float>::denorm_min(), x);
  }
  return floats;
}

std::vector<float> ConformanceTest::ModerateFloats(size_t size) {
  std::vector<float> floats(size);
  for (float& x : floats) {
    x = RandomFloat(random_, 117, 137);
    if (random_() % 16 == 0) x = std::copysign(0.0f, x);
    if (random_() % 16 == 0) x = RandomFloat(random_, 0, 0);
  }
  return floats;
}

std::vector<float> ConformanceTest::SpecialFloats(size_t size) {
  std::vector<float> floats = WideFloats(size);
  for (float& x : floats) {
    if (random_() % 16 == 0) x = std::copysign(std::numeric_limits<float>::infinity(), x);
    if (random_() % 32 == 0) x = std::copysign(std::numeric_limits<float>::quiet_NaN(), x);
  }
  return floats;
}

std::vector<uint8_t> ConformanceTest::Bytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
  return bytes;
}

}  // namespace tally
