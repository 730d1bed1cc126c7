// What speaks against a method's options, before a run is wasted on them.
#ifndef TALLY_CLIENT_OPTIMIZERS_OPTIONS_WARNINGS_H_
#define TALLY_CLIENT_OPTIMIZERS_OPTIONS_WARNINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/optimizers/create_optimizer.h"
#include "codecs/layout.h"

namespace tally {

// One sentence for each thing that is legal and, as far as options alone can tell, hopeless: the
// option in backticks, its value, and what will come of it. Empty if nothing is, and for methods
// that compress nothing or do not exist. `workers` is how many are expected; 0: unknown. The
// library prints nothing by itself: show them before the run.
//
//   all that compress   a run of one worker; a layout without compressed tensors
//   onebit_adam, onebit_lamb
//                       a warm-up of fewer than 10 rounds; an automatic rule that never freezes
//   sign_sgd, birder    a learning rate above 0.01, by which every element moves in every step;
//                       sign_sgd: 2 workers, whose vote is worth no more than one's
//   topk_sgd, cd_adam with topk
//                       a share at which a dense exchange costs no more
//   sketched_sgd, sketched_amsgrad
//                       SketchWarning
std::vector<std::string> OptionsWarnings(absl::string_view name, const OptimizerOptions& options,
                                         const Layout& layout, uint64_t workers);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_OPTIONS_WARNINGS_H_
