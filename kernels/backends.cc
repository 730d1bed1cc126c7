#include "kernels/backends.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/scalar/scalar_backend.h"
#include "kernels/simd/simd_backend.h"

namespace tally {
namespace {

// All back ends of this build, slowest first. Never destroyed: others may run kernels until the
// process ends.
const std::vector<const Backend*>& AllBackends() {
  static const auto& backends =
      *new std::vector<const Backend*>{new ScalarBackend(), new SimdBackend()};
  return backends;
}

}  // namespace

std::vector<const Backend*> SupportedBackends() {
  std::vector<const Backend*> supported;
  for (const Backend* backend : AllBackends()) {
    if (backend->IsSupported()) supported.push_back(backend);
  }
  return supported;
}

absl::StatusOr<const Backend*> FindBackend(absl::string_view name) {
  if (name == "auto") return SupportedBackends().back();
  std::vector<absl::string_view> names;
  for (const Backend* backend : AllBackends()) {
    names.push_back(backend->name());
    if (backend->name() != name) continue;
    if (backend->IsSupported()) return backend;
    return absl::UnimplementedError(
        absl::StrCat("back end \"", name, "\" is built in, but this machine cannot run it"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`name` = \"", name, "\", must be auto, ", absl::StrJoin(names, ", ")));
}

}  // namespace tally
