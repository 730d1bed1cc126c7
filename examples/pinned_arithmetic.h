// The same floating-point kernels in every run.
#ifndef TALLY_EXAMPLES_PINNED_ARITHMETIC_H_
#define TALLY_EXAMPLES_PINNED_ARITHMETIC_H_

namespace tally {

// libtorch and OpenBLAS choose their kernels and threads by what they find in the machine, and
// other kernels round otherwise. The environment pins the choice, but OpenBLAS reads it when it is
// loaded, before main(): so this sets what is not set yet, and if that was anything, starts the
// program again, in the same process, with `argv`. Must be called first in main(). If the program
// cannot be started again it goes on as it is, reproducible only as far as the machine's choice is.
void PinArithmetic(char** argv);

// Limits libtorch to one thread: the order of its sums depends on their number. After
// PinArithmetic.
void UseOneTorchThread();

}  // namespace tally

#endif  // TALLY_EXAMPLES_PINNED_ARITHMETIC_H_
