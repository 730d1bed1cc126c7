#include "base/float_environment.h"

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#elif !defined(__aarch64__)
#error "ScopedFloatEnvironment knows x86-64 and aarch64 only."
#endif

namespace tally {
namespace {

#if defined(__x86_64__)

// MXCSR: denormal operands are zeros (6), rounding mode (13, 14), flush denormal results (15).
constexpr uint64_t kNumericBits = (1u << 6) | (3u << 13) | (1u << 15);

uint64_t ReadControl() { return _mm_getcsr(); }
void WriteControl(uint64_t control) { _mm_setcsr(static_cast<uint32_t>(control)); }

#else

// FPCR: flush inputs (0), alternate handling (1), flush fp16 (19), rounding mode (22, 23), flush
// (24).
constexpr uint64_t kNumericBits = (1u << 0) | (1u << 1) | (1u << 19) | (3u << 22) | (1u << 24);

uint64_t ReadControl() {
  uint64_t control = 0;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}

void WriteControl(uint64_t control) { asm volatile("msr fpcr, %0" : : "r"(control) : "memory"); }

#endif

}  // namespace

ScopedFloatEnvironment::ScopedFloatEnvironment() : saved_control_(ReadControl()) {
  // On both machines all zeros in these bits is what we want.
  WriteControl(saved_control_ & ~kNumericBits);
}

ScopedFloatEnvironment::~ScopedFloatEnvironment() {
  // On x86 the same register holds the exception flags: those raised meanwhile must not be lost.
  WriteControl((ReadControl() & ~kNumericBits) | (saved_control_ & kNumericBits));
}

}  // namespace tally
