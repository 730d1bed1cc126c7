// A round's quality for people and for monitoring.
#ifndef TALLY_CLIENT_OPTIMIZERS_QUALITY_METRICS_H_
#define TALLY_CLIENT_OPTIMIZERS_QUALITY_METRICS_H_

#include <string>

#include "client/optimizers/round_quality.h"

namespace tally {

// Whose round it was: the labels of every sample.
struct QualityLabels {
  std::string job;
  std::string worker;
  std::string method;
};

// `quality` in Prometheus' text exposition format, version 0.0.4, one gauge per figure: for a file
// that node_exporter's textfile collector reads, or a handler of one's own.
//
//   # HELP tally_round_cosine Cosine between this worker's input and the update.
//   # TYPE tally_round_cosine gauge
//   tally_round_cosine{job="j",worker="w-0",method="onebit_adam"} 0.82
//
// Backslashes, quotes and line ends in labels are escaped; other bytes pass as they are. Figures of
// sketches are there only if the method sketches.
std::string FormatQualityMetrics(const QualityLabels& labels, const RoundQuality& quality);

// "update against input: cosine 0.82, relative error 0.57; residual norm 12.3", and for sketches
// "; 41 % of the energy in 512 of 2048 candidates, error bound 0.003, smallest chosen 0.02".
std::string QualityLine(const RoundQuality& quality);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_QUALITY_METRICS_H_
