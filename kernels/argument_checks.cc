#include "kernels/argument_checks.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

std::string Quoted(ArgumentName name, absl::string_view field = "") {
  if (name.index == ArgumentName::kNoIndex) return absl::StrCat("`", name.name, field, "`");
  return absl::StrCat("`", name.name, "[", name.index, "]", field, "`");
}

absl::Status SizeError(const std::string& quoted_name, size_t size, size_t expected,
                       absl::string_view unit, size_t num_elements) {
  return absl::InvalidArgumentError(absl::StrCat(quoted_name, " has ", size, " ", unit,
                                                 ", must be ", expected, " for ", num_elements,
                                                 " elements"));
}

bool Overlap(const ArgumentMemory& a, const ArgumentMemory& b) {
  return a.num_bytes > 0 && b.num_bytes > 0 && a.begin < b.begin + b.num_bytes &&
         b.begin < a.begin + a.num_bytes;
}

}  // namespace

absl::Status CheckDisjoint(absl::Span<const ArgumentMemory> arguments) {
  for (const ArgumentMemory& written : arguments) {
    if (!written.is_written) continue;
    for (const ArgumentMemory& other : arguments) {
      if (&written == &other || !Overlap(written, other)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          Quoted(written.name), " overlaps ", Quoted(other.name), ", must be apart from it"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSize(ArgumentName name, size_t size, size_t expected, absl::string_view unit,
                       size_t num_elements) {
  if (size == expected) return absl::OkStatus();
  return SizeError(Quoted(name), size, expected, unit, num_elements);
}

absl::Status CheckSegmentEnds(SegmentEnds ends, size_t num_elements) {
  uint32_t previous_end = 0;
  for (size_t k = 0; k < ends.size(); ++k) {
    if (ends[k] <= previous_end) {
      return absl::InvalidArgumentError(absl::StrCat("`segment_ends[", k, "]` = ", ends[k],
                                                     ", must be greater than ", previous_end));
    }
    previous_end = ends[k];
  }
  if (previous_end != num_elements) {
    return absl::InvalidArgumentError(absl::StrCat("`segment_ends` ends at ", previous_end,
                                                   ", must end at num_elements = ", num_elements));
  }
  return absl::OkStatus();
}

absl::Status CheckLive(absl::Span<const uint8_t> live, size_t num_elements) {
  if (live.empty()) return absl::OkStatus();
  return CheckSize("live", live.size(), BitmapBytes(num_elements), "bytes", num_elements);
}

absl::Status CheckSignBlock(ArgumentName name, const SignBlock& block, size_t num_elements,
                            size_t num_segments) {
  if (block.bits.size() != BitmapBytes(num_elements)) {
    return SizeError(Quoted(name, ".bits"), block.bits.size(), BitmapBytes(num_elements), "bytes",
                     num_elements);
  }
  if (block.scales.size() != num_segments) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(name, ".scales"), " has ",
                                                   block.scales.size(), " scales, must be ",
                                                   num_segments, ", one per segment"));
  }
  for (size_t k = 0; k < num_segments; ++k) {
    const float scale = block.scales[k];
    if (!std::isfinite(scale) || scale < 0.0f) {
      return absl::InvalidArgumentError(absl::StrCat(Quoted(name, absl::StrCat(".scales[", k, "]")),
                                                     " = ", scale,
                                                     ", must be finite and not negative"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDivisor(float divisor) {
  if (std::isfinite(divisor) && divisor > 0.0f) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`divisor` = ", divisor, ", must be finite and positive"));
}

absl::Status CheckDType(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBFloat16:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("`dtype` = ", static_cast<int>(dtype),
                                                 ", must be FLOAT32, FLOAT16 or BFLOAT16"));
}

}  // namespace tally
