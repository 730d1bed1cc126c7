// Question: of what gRPC can move between four workers and one aggregator on this machine, how much
// is left when the aggregator checks, adds up and answers?
//
// Four streams send contributions encoded beforehand, in chunks of 1 Mi elements, over loopback,
// and receive the results; beside it the same streams send the same bytes to an echo that looks at
// nothing. Both run in turn, several times, in one process on the same cores; the medians are
// compared. For sign exchanges, whose arithmetic is larger than their bytes, the ceiling is 1 / (1
// / echo + kernel seconds per GB / cores), with the kernel's time measured here too.
//
// It does not answer what a network does, nor what the workers' own encoding costs.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "aggregator/exchange_task.h"
#include "aggregator/residual.h"
#include "aggregator/server/server.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/logging.h"
#include "bench/load_stream.h"
#include "codecs/layout_codec.h"
#include "codecs/limits.h"
#include "codecs/roster.h"
#include "codecs/sign_codec.h"
#include "google/protobuf/io/coded_stream.h"
#include "kernels/backends.h"
#include "proto/tally/v1/aggregation.pb.h"

ABSL_FLAG(int, workers, 4, "Streams.");
ABSL_FLAG(int, chunks, 8, "Chunks under way per stream.");
ABSL_FLAG(int, chunk_elements, 1 << 20, "Elements of a chunk.");
ABSL_FLAG(int, repetitions, 5, "Times that echo and service run in turn.");
ABSL_FLAG(double, gigabytes, 2.0, "Payload that all streams together send per run.");

namespace tally {
namespace {

constexpr char kExchangeMethod[] = "/tally.v1.Aggregation/Exchange";
constexpr char kEchoMethod[] = "/tally.bench.Echo/Exchange";

struct Load {
  std::string name;
  Exchange exchange;
  Layout layout;
  // [workers] one payload each, sent for every chunk.
  std::vector<SharedBuffer> payloads;
  int rounds = 0;

  size_t num_chunks() const { return layout.chunks().size(); }
  double total_bytes() const {
    return static_cast<double>(payloads.front()->size()) * static_cast<double>(num_chunks()) *
           rounds * static_cast<double>(payloads.size());
  }
};

Load MakeLoad(std::string name, const Exchange& exchange, int workers) {
  const auto chunk_elements = static_cast<uint32_t>(absl::GetFlag(FLAGS_chunk_elements));
  const auto chunks = static_cast<uint64_t>(absl::GetFlag(FLAGS_chunks));
  absl::StatusOr<Layout> layout = Layout::Create(
      {{.name = "weights", .num_elements = chunks * chunk_elements}}, chunk_elements);
  TALLY_CHECK(layout.ok(), layout.status().ToString());
  Load load{.name = std::move(name), .exchange = exchange, .layout = *std::move(layout)};
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int worker = 0; worker < workers; ++worker) {
    Buffer payload(ContributionSize(exchange, load.layout, 0).max_bytes);
    if (const auto* sign = absl::get_if<SignExchange>(&exchange.kind)) {
      const size_t segments = load.layout.SegmentEnds(0, sign->granularity).size();
      const SignPayloadParts parts = SignPartsOf(payload.bytes(), chunk_elements, segments);
      for (float& scale : parts.scales) scale = std::abs(normal(random));
      for (uint8_t& byte : parts.bits) byte = static_cast<uint8_t>(random());
    } else {
      for (size_t i = 0; i < chunk_elements; ++i) {
        const float value = normal(random);
        std::memcpy(payload.data() + i * sizeof(float), &value, sizeof(float));
      }
    }
    load.payloads.push_back(std::make_shared<const Buffer>(std::move(payload)));
  }
  const double round_bytes =
      static_cast<double>(load.payloads.front()->size()) * static_cast<double>(chunks) * workers;
  load.rounds = std::max(4, static_cast<int>(absl::GetFlag(FLAGS_gigabytes) * 1e9 / round_bytes));
  return load;
}

// Cuts a payload into frames behind the contribution that `first` describes.
std::vector<grpc::ByteBuffer> Frames(const v1::Contribution& first, const SharedBuffer& payload) {
  std::vector<grpc::ByteBuffer> frames;
  for (size_t offset = 0; offset < payload->size(); offset += kSliceBytes) {
    v1::ClientMessage message;
    v1::Contribution& head = *message.mutable_contribution();
    if (offset == 0) {
      head = first;
    } else {
      head.set_chunk(first.chunk());
      head.set_round(first.round());
    }
    head.mutable_slice()->set_offset_bytes(offset);
    head.mutable_slice()->set_total_bytes(payload->size());
    frames.push_back(FrameWithPayload(message, payload, offset,
                                      std::min(kSliceBytes, payload->size() - offset)));
  }
  return frames;
}

// One worker: contributes to every chunk, and to its next round as soon as the result is there.
class RoundStream final : public LoadStream {
 public:
  RoundStream(const Load* load, int worker, uint64_t run)
      : load_(load), worker_(worker), run_(run) {
    digest_ = Digest64(load->payloads[static_cast<size_t>(worker)]->bytes());
    member_.set_worker(absl::StrCat("w-", worker));
    member_.set_incarnation(1);
  }

  void SayHello() {
    v1::ClientMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_version(kProtocolVersion);
    hello.set_job("bench");
    hello.set_run(run_);
    *hello.mutable_member() = member_;
    hello.set_intent(v1::INTENT_START);
    *hello.mutable_layout() = EncodeLayout(load_->layout);
    hello.mutable_settings()->set_expected_workers(static_cast<uint32_t>(load_->payloads.size()));
    hello.add_aggregators("agg-0");
    const grpc::Slice slice(message.SerializeAsString());
    Queue({grpc::ByteBuffer(&slice, 1)});
  }

  // Digest of the first result's payload, as its header gives it.
  uint64_t first_result_digest() const { return first_result_digest_; }
  absl::Time started_at() const { return started_at_; }
  absl::Time finished_at() const { return finished_at_; }

 private:
  void OnMessage(grpc::ByteBuffer& bytes) override {
    // Only what stands before the payload is read: the load should be the aggregator's, not ours.
    grpc::ProtoBufferReader reader(&bytes);
    google::protobuf::io::CodedInputStream input(&reader);
    constexpr uint32_t kResultTag = (v1::ServerMessage::kResultFieldNumber << 3) | 2;
    if (input.ReadTag() != kResultTag) return;
    uint32_t size = 0;
    v1::Result result;
    TALLY_CHECK(input.ReadVarint32(&size), "a result has a length");
    const auto limit = input.PushLimit(static_cast<int>(size));
    TALLY_CHECK(result.ParseFromCodedStream(&input), "a result can be read");
    input.PopLimit(limit);

    if (result.slice().offset_bytes() == 0) {
      v1::ResultHeader header;
      TALLY_CHECK(header.ParseFromString(result.header()), "a header can be read");
      if (header.has_genesis()) {
        if (started_at_ == absl::InfinitePast()) started_at_ = absl::Now();
        chunks_[result.chunk()].chain = ChainOf(result.header());
        Contribute(result.chunk());
        return;
      }
      if (first_result_digest_ == 0) first_result_digest_ = header.payload_digest();
      chunks_[result.chunk()].chain = ChainOf(result.header());
    }
    if (result.slice().offset_bytes() + kSliceBytes < result.slice().total_bytes()) return;
    chunks_[result.chunk()].round = result.round() + 1;
    chunks_[result.chunk()].sent = false;
    if (result.round() + 1 == static_cast<uint64_t>(load_->rounds)) {
      ++finished_chunks_;
    }
    if (finished_chunks_ == load_->num_chunks()) {
      finished_at_ = absl::Now();
      v1::ClientMessage leave;
      leave.mutable_leave()->set_last_round(result.round());
      const grpc::Slice slice(leave.SerializeAsString());
      Queue({grpc::ByteBuffer(&slice, 1)});
      End();
      return;
    }
    ContributeWithinOneRound();
  }

  // A chunk may run one round ahead of the slowest: that keeps within the aggregator's window of 16
  // chunks.
  void ContributeWithinOneRound() {
    uint64_t slowest = chunks_[0].round;
    for (const ChunkState& chunk : chunks_) slowest = std::min(slowest, chunk.round);
    for (uint32_t chunk = 0; chunk < chunks_.size(); ++chunk) {
      const ChunkState& state = chunks_[chunk];
      if (!state.sent && state.round <= slowest + 1 &&
          state.round < static_cast<uint64_t>(load_->rounds)) {
        Contribute(chunk);
      }
    }
  }

  void Contribute(uint32_t chunk) {
    ChunkState& state = chunks_[chunk];
    state.sent = true;
    v1::Contribution contribution;
    contribution.set_chunk(chunk);
    contribution.set_round(state.round);
    contribution.set_run(run_);
    *contribution.mutable_member() = member_;
    contribution.set_prev_chain(state.chain);
    *contribution.mutable_exchange() = EncodeExchange(load_->exchange);
    contribution.set_payload_digest(digest_);
    Queue(Frames(contribution, load_->payloads[static_cast<size_t>(worker_)]));
  }

  struct ChunkState {
    uint64_t round = 0;
    uint64_t chain = 0;
    bool sent = false;
  };

  const Load* const load_;
  const int worker_;
  const uint64_t run_;
  v1::Member member_;
  uint64_t digest_ = 0;
  std::vector<ChunkState> chunks_ = std::vector<ChunkState>(load_->num_chunks());
  size_t finished_chunks_ = 0;
  uint64_t first_result_digest_ = 0;
  absl::Time started_at_ = absl::InfinitePast();
  absl::Time finished_at_;
};

// The same bytes against the echo: a payload goes out again when its last frame is back.
class EchoStream final : public LoadStream {
 public:
  EchoStream(const Load* load, int worker)
      : payload_(load->payloads[static_cast<size_t>(worker)]),
        left_(load->num_chunks() * static_cast<size_t>(load->rounds)),
        frames_(Frames(v1::Contribution(), payload_)) {}

  void Begin(size_t payloads_under_way) {
    for (size_t i = 0; i < payloads_under_way; ++i) Queue(frames_);
    to_send_ = left_ - payloads_under_way;
  }
  absl::Time finished_at() const { return finished_at_; }

 private:
  void OnMessage(grpc::ByteBuffer& /*message*/) override {
    if (++frames_back_ % frames_.size() != 0) return;
    if (--left_ == 0) {
      finished_at_ = absl::Now();
      End();
    } else if (to_send_ > 0) {
      --to_send_;
      Queue(frames_);
    }
  }

  const SharedBuffer payload_;
  size_t left_;
  size_t to_send_ = 0;
  size_t frames_back_ = 0;
  const std::vector<grpc::ByteBuffer> frames_;
  absl::Time finished_at_;
};

// Sends back whatever comes.
class EchoReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  EchoReactor() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok) {
      StartWrite(&message_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class EchoService final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* /*context*/) override {
    return new EchoReactor();
  }
};

// Payload bytes per second, one way, in GB.
double RunEcho(const Load& load, const std::string& address) {
  std::vector<std::unique_ptr<EchoStream>> streams;
  for (size_t worker = 0; worker < load.payloads.size(); ++worker) {
    streams.push_back(std::make_unique<EchoStream>(&load, static_cast<int>(worker)));
    streams.back()->Open(address, kEchoMethod);
  }
  const absl::Time start = absl::Now();
  for (auto& stream : streams) stream->Begin(load.num_chunks());
  absl::Time end = start;
  for (auto& stream : streams) {
    const absl::Status status = stream->Wait();
    TALLY_CHECK(status.ok(), status.ToString());
    end = std::max(end, stream->finished_at());
  }
  return load.total_bytes() / absl::ToDoubleSeconds(end - start) / 1e9;
}

double RunService(const Load& load, const std::string& address, uint64_t run,
                  uint64_t expected_digest) {
  std::vector<std::unique_ptr<RoundStream>> streams;
  for (size_t worker = 0; worker < load.payloads.size(); ++worker) {
    streams.push_back(std::make_unique<RoundStream>(&load, static_cast<int>(worker), run));
    streams.back()->Open(address, kExchangeMethod);
    streams.back()->SayHello();
  }
  absl::Time start = absl::InfiniteFuture();
  absl::Time end = absl::InfinitePast();
  for (auto& stream : streams) {
    const absl::Status status = stream->Wait();
    TALLY_CHECK(status.ok(), status.ToString());
    TALLY_CHECK(stream->first_result_digest() == expected_digest,
                "the result must be what the kernels give");
    start = std::min(start, stream->started_at());
    end = std::max(end, stream->finished_at());
  }
  return load.total_bytes() / absl::ToDoubleSeconds(end - start) / 1e9;
}

ExchangeTask MakeTask(const Load& load) {
  auto description = std::make_shared<JobDescription>(JobDescription{.layout = load.layout});
  description->aggregators = {"agg-0"};
  ExchangeTask task{.description = std::move(description),
                    .exchange = load.exchange,
                    .payloads = load.payloads,
                    .divisor = static_cast<uint32_t>(load.payloads.size())};
  task.residual = std::make_shared<Residual>(load.layout.chunks()[0].num_elements);
  return task;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// What the arithmetic of results costs one core, per GB of contributions; over as many chunks, each
// with its residual, as the service has, so that caches are as cold as there.
double KernelSecondsPerGigabyte(const Load& load, const Backend& backend) {
  const std::vector<ExchangeTask> tasks = [&load] {
    std::vector<ExchangeTask> each;
    for (size_t chunk = 0; chunk < load.num_chunks(); ++chunk) each.push_back(MakeTask(load));
    return each;
  }();
  std::vector<double> seconds;
  for (int pass = 0; pass < 9; ++pass) {
    const absl::Time start = absl::Now();
    for (const ExchangeTask& task : tasks) {
      const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, backend);
      TALLY_CHECK(outcome.ok(), outcome.status().ToString());
    }
    seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }
  const double gigabytes = static_cast<double>(load.payloads.front()->size() *
                                               load.payloads.size() * load.num_chunks()) /
                           1e9;
  return Median(seconds) / gigabytes;
}

void Measure(const Load& load, const Backend& backend) {
  const RealClock clock;
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Create({.name = "agg-0",
                      .listen = "127.0.0.1:0",
                      .memory_limit_bytes = uint64_t{8} << 30,
                      .num_compute_threads = static_cast<int>(std::thread::hardware_concurrency())},
                     &backend, &clock);
  TALLY_CHECK(server.ok(), server.status().ToString());
  EchoService echo_service;
  int echo_port = 0;
  grpc::ServerBuilder builder;
  builder.RegisterCallbackGenericService(&echo_service);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &echo_port);
  const std::unique_ptr<grpc::Server> echo_server = builder.BuildAndStart();
  const std::string service_address = absl::StrCat("127.0.0.1:", (*server)->port());
  const std::string echo_address = absl::StrCat("127.0.0.1:", echo_port);

  const absl::StatusOr<ExchangeOutcome> expected = RunExchange(MakeTask(load), backend);
  TALLY_CHECK(expected.ok(), expected.status().ToString());
  std::vector<double> echo;
  std::vector<double> service;
  for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
    echo.push_back(RunEcho(load, echo_address));
    service.push_back(
        RunService(load, service_address, static_cast<uint64_t>(i) + 1, expected->payload_digest));
  }
  const double cores = std::thread::hardware_concurrency();
  const double kernel_seconds = KernelSecondsPerGigabyte(load, backend);
  const double ceiling = 1.0 / (1.0 / Median(echo) + kernel_seconds / cores);
  std::printf("%s,%zu,%zu,%d,%zu,%.3f,%.3f,%.2f,%.3f,%.3f,%.2f\n", load.name.c_str(),
              load.payloads.size(), load.num_chunks(), absl::GetFlag(FLAGS_chunk_elements),
              load.payloads.front()->size(), Median(echo), Median(service),
              Median(service) / Median(echo), kernel_seconds, ceiling, Median(service) / ceiling);
  std::fflush(stdout);
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Compares the aggregation service with a raw gRPC echo.");
  absl::ParseCommandLine(argc, argv);
  if (!tally::InitLogging("error").ok()) return EXIT_FAILURE;
  const absl::StatusOr<const tally::Backend*> backend = tally::FindBackend("auto");
  if (!backend.ok()) return EXIT_FAILURE;
  const int workers = absl::GetFlag(FLAGS_workers);
  if (workers < 1 || absl::GetFlag(FLAGS_chunks) < 1 || absl::GetFlag(FLAGS_chunks) > 8) {
    std::fprintf(stderr, "--workers must be at least 1, --chunks from 1 to 8: half a window\n");
    return EXIT_FAILURE;
  }
  std::printf(
      "exchange,workers,chunks,chunk_elements,payload_bytes,echo_GBps,service_GBps,"
      "service/echo,kernel_s_per_GB,ceiling_GBps,service/ceiling\n");
  tally::Measure(tally::MakeLoad("dense_fp32", {tally::DenseExchange{}}, workers), **backend);
  tally::Measure(tally::MakeLoad("sign_block4096", {tally::SignExchange{}}, workers), **backend);
  return EXIT_SUCCESS;
}
