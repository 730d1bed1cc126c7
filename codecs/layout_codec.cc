#include "codecs/layout_codec.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "codecs/limits.h"

namespace tally {

v1::Layout EncodeLayout(const Layout& layout) {
  v1::Layout message;
  message.set_chunk_elements(layout.chunk_elements());
  if (layout.dealing().has_value()) {
    v1::Dealing& dealing = *message.mutable_dealing();
    dealing.set_num_groups(layout.dealing()->options().num_groups);
    dealing.set_hash_version(kDealingHashVersion);
    dealing.set_seed(layout.dealing()->options().seed);
  }
  for (const Tensor& tensor : layout.tensors()) {
    v1::Tensor& encoded = *message.add_tensors();
    encoded.set_name(tensor.name);
    encoded.set_num_elements(tensor.num_elements);
    encoded.set_treatment(tensor.treatment == Treatment::kCompressed ? v1::TREATMENT_COMPRESSED
                                                                     : v1::TREATMENT_DENSE);
    for (const ElementRange& range : tensor.masked) {
      v1::ElementRange& encoded_range = *encoded.add_masked();
      encoded_range.set_begin(range.begin);
      encoded_range.set_end(range.end);
    }
  }
  return message;
}

absl::StatusOr<Layout> DecodeLayout(const v1::Layout& message) {
  // Before anything is taken for them: an empty tensor is two bytes of the message.
  if (static_cast<size_t>(message.tensors_size()) > kMaxTensors) {
    return absl::InvalidArgumentError(absl::StrCat("`tensors.size` = ", message.tensors_size(),
                                                   ", must be at most ", kMaxTensors));
  }
  std::vector<Tensor> tensors;
  tensors.reserve(message.tensors_size());
  for (const v1::Tensor& encoded : message.tensors()) {
    if (encoded.treatment() != v1::TREATMENT_COMPRESSED &&
        encoded.treatment() != v1::TREATMENT_DENSE) {
      return absl::InvalidArgumentError(
          absl::StrCat("`tensors[", tensors.size(), "].treatment` = ", encoded.treatment(),
                       ", must be TREATMENT_COMPRESSED or TREATMENT_DENSE"));
    }
    Tensor& tensor = tensors.emplace_back();
    tensor.name = encoded.name();
    tensor.num_elements = encoded.num_elements();
    tensor.treatment = encoded.treatment() == v1::TREATMENT_COMPRESSED ? Treatment::kCompressed
                                                                       : Treatment::kDense;
    tensor.masked.reserve(encoded.masked_size());
    for (const v1::ElementRange& range : encoded.masked()) {
      tensor.masked.push_back({range.begin(), range.end()});
    }
  }
  absl::optional<DealingOptions> dealing;
  if (message.has_dealing()) {
    if (message.dealing().hash_version() != kDealingHashVersion) {
      return absl::UnimplementedError(
          absl::StrCat("`dealing.hash_version` = ", message.dealing().hash_version(), ", must be ",
                       kDealingHashVersion));
    }
    dealing = DealingOptions{message.dealing().num_groups(), message.dealing().seed()};
  }
  return Layout::Create(std::move(tensors), message.chunk_elements(), dealing);
}

}  // namespace tally
