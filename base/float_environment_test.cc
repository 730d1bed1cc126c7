#include "base/float_environment.h"

#include <cfenv>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace tally {
namespace {

// Through volatile, so that the machine divides, here and now, and not the compiler.
float Divide(float dividend, float divisor) {
  volatile float a = dividend;
  volatile float b = divisor;
  volatile float quotient = a / b;
  return quotient;
}

// The result of a normal operand that is denormal, and the other way round.
bool KeepsDenormalResults() { return Divide(std::numeric_limits<float>::min(), 4.0f) != 0.0f; }

bool KeepsDenormalOperands() {
  const float smallest = std::numeric_limits<float>::denorm_min();
  return Divide(smallest, smallest) == 1.0f;
}

// Asks the arithmetic: on x86 std::fegetround reads the x87 unit, which computes nothing of ours.
// Every mode but the nearest changes one of the two.
bool RoundsToNearest() {
  return Divide(1.0f, 3.0f) == 0x1.555556p-2f && Divide(-1.0f, 3.0f) == -0x1.555556p-2f;
}

// Flushes denormals in this thread, as frameworks do, until destroyed.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<uint32_t>(saved_) | 0x8040u); }
  ~FlushDenormals() { _mm_setcsr(static_cast<uint32_t>(saved_)); }
#else
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(saved_ | (1u << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_ = 0;
};

TEST(ScopedFloatEnvironmentTest, KeepsDenormalsWhereTheCallerFlushesThem) {
  const FlushDenormals flush;
  ASSERT_FALSE(KeepsDenormalResults());
  ASSERT_FALSE(KeepsDenormalOperands());
  {
    const ScopedFloatEnvironment environment;
    EXPECT_TRUE(KeepsDenormalResults());
    EXPECT_TRUE(KeepsDenormalOperands());
  }
  EXPECT_FALSE(KeepsDenormalResults());
  EXPECT_FALSE(KeepsDenormalOperands());
}

TEST(ScopedFloatEnvironmentTest, RoundsToNearestWhateverTheCallerDoes) {
  for (int mode : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    SCOPED_TRACE(mode);
    ASSERT_EQ(std::fesetround(mode), 0);
    ASSERT_EQ(RoundsToNearest(), mode == FE_TONEAREST);
    {
      const ScopedFloatEnvironment environment;
      EXPECT_TRUE(RoundsToNearest());
    }
    EXPECT_EQ(RoundsToNearest(), mode == FE_TONEAREST);
  }
  ASSERT_EQ(std::fesetround(FE_TONEAREST), 0);
}

TEST(ScopedFloatEnvironmentTest, Nests) {
  const FlushDenormals flush;
  const ScopedFloatEnvironment outer;
  {
    const FlushDenormals flush_again;
    {
      const ScopedFloatEnvironment inner;
      EXPECT_TRUE(KeepsDenormalResults());
    }
    EXPECT_FALSE(KeepsDenormalResults());
  }
  EXPECT_TRUE(KeepsDenormalResults());
}

TEST(ScopedFloatEnvironmentTest, KeepsExceptionFlagsRaisedInside) {
  std::feclearexcept(FE_ALL_EXCEPT);
  {
    const ScopedFloatEnvironment environment;
    Divide(1.0f, 0.0f);
  }
  EXPECT_NE(std::fetestexcept(FE_DIVBYZERO), 0);
  std::feclearexcept(FE_ALL_EXCEPT);
}

}  // namespace
}  // namespace tally
