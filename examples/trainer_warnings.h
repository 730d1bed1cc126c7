// What speaks against a run, before it starts.
#ifndef TALLY_EXAMPLES_TRAINER_WARNINGS_H_
#define TALLY_EXAMPLES_TRAINER_WARNINGS_H_

#include <string>
#include <vector>

#include "examples/trainer_options.h"

namespace tally {

// OptionsWarnings of the method, and what the number of rounds adds to them: a warm-up that does
// not end within the run, a sketch in which not every element can have its turn.
std::vector<std::string> TrainerWarnings(const TrainerOptions& options, const Layout& layout);

}  // namespace tally

#endif  // TALLY_EXAMPLES_TRAINER_WARNINGS_H_
