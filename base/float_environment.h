// The floating-point environment that "same inputs, same bits" takes for granted.
#ifndef TALLY_BASE_FLOAT_ENVIRONMENT_H_
#define TALLY_BASE_FLOAT_ENVIRONMENT_H_

#include <cstdint>

namespace tally {

// While it lives, its thread rounds to nearest even and keeps denormal numbers, operands and
// results alike; its destructor gives back what it found. Frameworks like to switch to flushing
// denormals for the whole thread, and a trainer may call us from such a thread. Exception flags and
// masks are left as they are. Scopes nest; destroy it in the thread that made it.
//
// The compiler knows nothing of this: it may move arithmetic on values that it can prove private
// across the borders of the scope. Arithmetic on memory that came in through a pointer, or inside a
// function it cannot inline, stays put.
class ScopedFloatEnvironment {
 public:
  ScopedFloatEnvironment();
  ~ScopedFloatEnvironment();
  ScopedFloatEnvironment(const ScopedFloatEnvironment&) = delete;
  ScopedFloatEnvironment& operator=(const ScopedFloatEnvironment&) = delete;

 private:
  const uint64_t saved_control_;
};

}  // namespace tally

#endif  // TALLY_BASE_FLOAT_ENVIRONMENT_H_
