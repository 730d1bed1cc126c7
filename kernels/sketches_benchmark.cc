// Question: how fast do sketches of a whole vector go through one core, by the number of groups it
// is dealt out to, and how near do they come to what memory gives to memcpy?
//
// Sizes are those of FetchSGD's ResNet-9: 6.6 M coordinates, 5 rows of 500 k columns and 50 k
// chosen elements, in all groups together. items_per_second counts coordinates. The working set of
// a row is what must be read and written once: the vector, and the tables or the chosen indices;
// Estimate+SelectLargest keeps one group's estimates, which count for neither. The memcpy row of
// the same name copies half as many bytes, so it reads and writes as many in all.
//
// Not answered: gathering the groups out of the flat vector, and several cores at a time.
//
//   bazel run //kernels:sketches_benchmark -- --benchmark_filter=groups:64
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "benchmark/benchmark.h"
#include "kernels/backend.h"
#include "kernels/backends.h"
#include "kernels/sketch_hash.h"
#include "kernels/sketch_kernels.h"

namespace tally {
namespace {

constexpr size_t kNumElements = 6600000;
constexpr uint32_t kNumColumns = 500000;
constexpr uint32_t kNumRows = 5;
constexpr size_t kNumChosen = 50000;

// The parts of one group.
struct Group {
  SketchShape shape;
  absl::Span<float> x;
  absl::Span<float> estimates;
  absl::Span<float> table;
  absl::Span<uint32_t> indices;
};

// A vector, its tables, its estimates and the indices chosen, group by group.
class Groups {
 public:
  explicit Groups(size_t num_groups)
      : columns_(static_cast<uint32_t>(kNumColumns / num_groups / kSketchRunElements) *
                 kSketchRunElements),
        num_elements_(kNumElements / num_groups),
        num_chosen_(kNumChosen / num_groups),
        x_(num_groups * num_elements_),
        estimates_(num_groups * num_elements_),
        table_(num_groups * kNumRows * columns_),
        indices_(num_groups * num_chosen_) {
    std::minstd_rand random(1);
    for (float& value : x_) {
      // The exponent of a uniform number: a heavy tail.
      const float magnitude = std::exp(static_cast<float>(random() % 4096) / 512.0f);
      value = random() % 2 == 0 ? magnitude : -magnitude;
    }
    for (size_t i = 0; i < num_groups; ++i) {
      groups_.push_back(
          {{.rows = kNumRows, .columns = columns_, .key = SketchKey(1, static_cast<uint32_t>(i))},
           absl::MakeSpan(x_).subspan(i * num_elements_, num_elements_),
           absl::MakeSpan(estimates_).subspan(i * num_elements_, num_elements_),
           absl::MakeSpan(table_).subspan(i * kNumRows * columns_, kNumRows * columns_),
           absl::MakeSpan(indices_).subspan(i * num_chosen_, num_chosen_)});
    }
  }
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;

  absl::Span<const Group> groups() const { return groups_; }
  const std::vector<float>& x() const { return x_; }
  const std::vector<float>& estimates() const { return estimates_; }
  const std::vector<float>& table() const { return table_; }
  const std::vector<uint32_t>& indices() const { return indices_; }

 private:
  const uint32_t columns_;
  const size_t num_elements_;
  const size_t num_chosen_;
  std::vector<float> x_;
  std::vector<float> estimates_;
  std::vector<float> table_;
  std::vector<uint32_t> indices_;
  std::vector<Group> groups_;
};

absl::Status Sketch(const SketchKernels& kernels, const Group& group) {
  return kernels.Sketch(group.shape, group.x, group.table);
}

absl::Status Estimate(const SketchKernels& kernels, const Group& group) {
  return kernels.Estimate(group.shape, group.table, group.estimates);
}

absl::Status SelectLargest(const SketchKernels& kernels, const Group& group) {
  return kernels.SelectLargest(group.estimates, {}, group.indices);
}

using Step = std::function<absl::Status(const SketchKernels&, const Group&)>;

struct Workload {
  std::string name;
  // What must have run before.
  std::vector<Step> before;
  std::vector<Step> steps;
  std::function<size_t(const Groups&)> working_set_bytes;
};

size_t TableBytes(const Groups& groups) { return groups.table().size() * sizeof(float); }
size_t VectorBytes(const Groups& groups) { return groups.x().size() * sizeof(float); }
size_t IndexBytes(const Groups& groups) { return groups.indices().size() * sizeof(uint32_t); }

std::vector<Workload> Workloads() {
  return {
      {"Sketch", {}, {Sketch}, [](auto& g) { return VectorBytes(g) + TableBytes(g); }},
      {"Estimate", {Sketch}, {Estimate}, [](auto& g) { return TableBytes(g) + VectorBytes(g); }},
      {"SelectLargest",
       {Sketch, Estimate},
       {SelectLargest},
       [](auto& g) { return VectorBytes(g) + IndexBytes(g); }},
      {"Estimate+SelectLargest", {Sketch}, {Estimate, SelectLargest}, [](auto& g) {
         return TableBytes(g) + IndexBytes(g);
       }}};
}

absl::Status Run(const std::vector<Step>& steps, const Backend& backend, const Groups& groups) {
  for (const Group& group : groups.groups()) {
    for (const Step& step : steps) TALLY_RETURN_IF_ERROR(step(backend.sketches(), group));
  }
  return absl::OkStatus();
}

// True if all steps give the bits of the scalar back end.
bool IsVerified(const Backend& backend, size_t num_groups) {
  const std::vector<Step> all = {Sketch, Estimate, SelectLargest};
  const Groups expected(num_groups);
  const Groups actual(num_groups);
  if (!Run(all, *SupportedBackends().front(), expected).ok() || !Run(all, backend, actual).ok()) {
    return false;
  }
  return actual.table() == expected.table() && actual.estimates() == expected.estimates() &&
         actual.indices() == expected.indices();
}

void RunKernel(benchmark::State& state, const Backend& backend, const Workload& workload,
               size_t num_groups) {
  const Groups groups(num_groups);
  if (!IsVerified(backend, num_groups) || !Run(workload.before, backend, groups).ok()) {
    state.SkipWithError("output differs from the scalar back end's");
    return;
  }
  for (auto _ : state) Run(workload.steps, backend, groups).IgnoreError();
  state.SetBytesProcessed(
      static_cast<int64_t>(state.iterations() * workload.working_set_bytes(groups)));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * groups.x().size()));
}

void RunMemcpy(benchmark::State& state, const Workload& workload, size_t num_groups) {
  const size_t num_bytes = workload.working_set_bytes(Groups(num_groups)) / 2;
  const std::vector<uint8_t> source(num_bytes, 1);
  std::vector<uint8_t> target(num_bytes);
  for (auto _ : state) {
    std::memcpy(target.data(), source.data(), num_bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * 2 * num_bytes));
}

void RegisterAll() {
  for (const Workload& workload : Workloads()) {
    for (const size_t num_groups : {1, 20, 64, 305}) {
      const std::string name = absl::StrCat(workload.name, "/groups:", num_groups);
      benchmark::RegisterBenchmark(absl::StrCat(name, "/memcpy").c_str(),
                                   [workload, num_groups](benchmark::State& state) {
                                     RunMemcpy(state, workload, num_groups);
                                   });
      for (const Backend* backend : SupportedBackends()) {
        benchmark::RegisterBenchmark(absl::StrCat(name, "/", std::string(backend->name())).c_str(),
                                     [backend, workload, num_groups](benchmark::State& state) {
                                       RunKernel(state, *backend, workload, num_groups);
                                     });
      }
    }
  }
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  tally::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
