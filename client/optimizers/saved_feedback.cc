#include "client/optimizers/saved_feedback.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "codecs/sign_codec.h"

namespace tally {

void SavedFeedback::Save(SavedStateWriter& writer) const {
  if (writer.is_shared()) return;
  std::string is_counted;
  std::string contributions;
  for (const absl::Span<const uint8_t> contribution : counted) {
    is_counted.push_back(contribution.empty() ? 0 : 1);
    contributions.append(reinterpret_cast<const char*>(contribution.data()), contribution.size());
  }
  writer.AddValues<float>("residual_sum", sum);
  writer.AddBytes("counted_chunks", is_counted);
  writer.AddBytes("counted_contributions", contributions);
}

absl::StatusOr<SavedFeedback> LoadFeedback(const SavedState& saved, const Layout& layout,
                                           const SegmentMap& segments, absl::Span<float> sum) {
  SavedFeedback feedback = {.sum = sum};
  for (const Layout::Chunk& chunk : layout.chunks()) {
    if (!chunk.dense) feedback.counted.emplace_back();
  }
  if (saved.is_shared()) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    return feedback;
  }
  TALLY_RETURN_IF_ERROR(saved.Values("residual_sum", sum));
  std::string is_counted(feedback.counted.size(), 0);
  TALLY_RETURN_IF_ERROR(
      saved.Values("counted_chunks", absl::MakeSpan(&is_counted[0], is_counted.size())));
  TALLY_ASSIGN_OR_RETURN(absl::string_view contributions, saved.Bytes("counted_contributions"));
  for (uint32_t c = 0; c < feedback.counted.size(); ++c) {
    if (is_counted[c] == 0) continue;
    const uint32_t num_elements = layout.chunks()[c].num_elements;
    const absl::string_view bytes =
        contributions.substr(0, SignPayloadBytes(num_elements, segments.num_segments(c)));
    // The section may start anywhere.
    std::vector<float> aligned((bytes.size() + sizeof(float) - 1) / sizeof(float));
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(aligned.data()));
    TALLY_RETURN_IF_ERROR(
        DecodeSign({reinterpret_cast<const uint8_t*>(aligned.data()), bytes.size()}, num_elements,
                   segments.num_segments(c))
            .status());
    feedback.counted[c] = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    contributions.remove_prefix(bytes.size());
  }
  if (!contributions.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("saved state: section `counted_contributions` is ", contributions.size(),
                     " bytes longer than the counted chunks' contributions"));
  }
  return feedback;
}

}  // namespace tally
