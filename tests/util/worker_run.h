// A run as a worker sees it, for tests of the client: its options, and what aggregators answer.
#ifndef TALLY_TESTS_UTIL_WORKER_RUN_H_
#define TALLY_TESTS_UTIL_WORKER_RUN_H_

#include <cstdint>
#include <string>

#include "client/client_options.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/util/result_maker.h"

namespace tally {

// Worker "w-1" of job "bert" with aggregators "agg-0", "agg-1"... at "host-0:7000"...
ClientOptions OptionsOf(size_t num_aggregators, size_t num_chunks);

// The run that a worker with these options is in.
TestRun RunOf(const ClientOptions& options);

// What an aggregator answers to Hello.
v1::Welcome WelcomeFrom(const std::string& aggregator, uint32_t window_chunks = 4,
                        uint64_t instance = 1);

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_WORKER_RUN_H_
