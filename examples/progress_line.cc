#include "examples/progress_line.h"

#include <cmath>

#include "absl/strings/str_format.h"
#include "base/byte_size.h"

namespace tally {

std::string FormatProgress(const Progress& progress) {
  const double seconds = absl::ToDoubleSeconds(progress.elapsed);
  const double rate = seconds > 0 ? static_cast<double>(progress.round) / seconds : 0;
  std::string line =
      absl::StrFormat("%s  round %d of %d  loss %.3f  %.1f rounds/s  up %s, down %s",
                      progress.optimizer, progress.round, progress.rounds, progress.training_loss,
                      rate, FormatByteSize(progress.bytes_up), FormatByteSize(progress.bytes_down));
  if (rate > 0 && progress.round < progress.rounds) {
    absl::StrAppendFormat(&line, "  %.0f s left",
                          std::ceil(static_cast<double>(progress.rounds - progress.round) / rate));
  }
  if (!progress.compressing) line += "  (uncompressed)";
  return line;
}

ProgressLine::ProgressLine(std::FILE* stream, bool is_terminal, const Clock* clock)
    : stream_(stream), is_terminal_(is_terminal), clock_(*clock) {}

void ProgressLine::Show(const Progress& progress) {
  if (!IsDue(progress)) return;
  const std::string line = FormatProgress(progress);
  if (is_terminal_) {
    // Back to the start of the line, and clear what the last one leaves over.
    std::fprintf(stream_, "\r%s\x1b[K%s", line.c_str(),
                 progress.round == progress.rounds ? "\n" : "");
  } else {
    std::fprintf(stream_, "%s\n", line.c_str());
  }
  std::fflush(stream_);
}

bool ProgressLine::IsDue(const Progress& progress) {
  if (progress.round == progress.rounds) return true;
  if (!is_terminal_) {
    // The first round, and the last of every tenth.
    const auto tenth = [&](uint64_t round) { return round * 10 / progress.rounds; };
    return progress.round == 1 || tenth(progress.round) != tenth(progress.round - 1);
  }
  const absl::Time now = clock_.Now();
  if (now < next_) return false;
  next_ = now + absl::Milliseconds(200);
  return true;
}

}  // namespace tally
