#include "client/optimizers/training_state.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/saved_state.h"

namespace tally {
namespace {

// An optimizer's own state carries the bare name.
std::string MethodOf(const Optimizer& optimizer) {
  return absl::StrCat("training_with_", optimizer.name());
}

}  // namespace

std::string SaveTrainingState(const Optimizer& optimizer, const Layout& layout,
                              absl::Span<const float> parameters, StateScope scope) {
  const std::string state = optimizer.Save(scope);
  if (state.empty()) return "";
  SavedStateWriter writer(MethodOf(optimizer), layout, /*steps=*/0, scope);
  writer.AddValues<float>("parameters", parameters);
  writer.AddBytes("optimizer", state);
  return std::move(writer).Finish();
}

absl::Status LoadTrainingState(absl::string_view state, const Layout& layout,
                               absl::Span<float> parameters, Optimizer* optimizer) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(state));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(MethodOf(*optimizer), layout));
  std::vector<float> loaded(parameters.size());
  TALLY_RETURN_IF_ERROR(saved.Values("parameters", absl::MakeSpan(loaded)));
  TALLY_ASSIGN_OR_RETURN(const absl::string_view method, saved.Bytes("optimizer"));
  TALLY_RETURN_IF_ERROR(optimizer->LoadState(method));
  std::copy(loaded.begin(), loaded.end(), parameters.begin());
  return absl::OkStatus();
}

}  // namespace tally
