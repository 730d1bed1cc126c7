// Jobs at one engine, for its tests.
#ifndef TALLY_TESTS_UTIL_ENGINE_FIXTURE_H_
#define TALLY_TESTS_UTIL_ENGINE_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/engine.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/engine_driver.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {

MATCHER(IsOpen, "is open") { return !arg.closed().has_value(); }

inline EngineOptions Options() {
  EngineOptions options{.name = "agg-0"};
  options.instance.set_start_us(123);
  options.instance.set_random(456);
  return options;
}

inline Layout LayoutOf(uint64_t num_elements, uint32_t chunk_elements) {
  absl::StatusOr<Layout> layout = Layout::Create({{"weights", num_elements}}, chunk_elements);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

// Jobs of which each worker contributes one value to all elements.
class EngineTest : public testing::Test {
 protected:
  EngineTest() { Restart(Options()); }

  void Restart(EngineOptions options) {
    workers_.clear();
    driver_ = std::make_unique<EngineDriver>(std::move(options));
  }

  // Worker w-<index> of a job of `expected` workers.
  HelloBuilder Hello(int index, uint32_t expected) const {
    HelloBuilder builder;
    builder.Worker(absl::StrCat("w-", index), 100 + static_cast<uint64_t>(index))
        .ExpectedWorkers(expected);
    return builder;
  }

  // The reference lives as long as the test.
  EngineWorker& Join(const HelloBuilder& hello) {
    workers_.push_back(std::make_unique<EngineWorker>(driver_.get(), hello.Build()));
    return *workers_.back();
  }

  // A run of `count` workers that has started.
  std::vector<EngineWorker*> StartRun(uint32_t count) {
    std::vector<EngineWorker*> workers;
    for (uint32_t i = 0; i < count; ++i) {
      workers.push_back(&Join(Hello(static_cast<int>(i), count)));
    }
    return workers;
  }

  v1::JobStatus Status() const { return driver_->OnlyJob(); }

  std::unique_ptr<EngineDriver> driver_;
  std::vector<std::unique_ptr<EngineWorker>> workers_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_ENGINE_FIXTURE_H_
