#include "aggregator/device_batch.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "aggregator/exchange_arguments.h"
#include "aggregator/residual.h"
#include "base/buffer.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "codecs/layout.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/device/device.h"
#include "kernels/sketch_hash.h"

namespace tally {
namespace {

// Spans named so lie in the device's memory.
using DeviceBytes = absl::Span<const uint8_t>;
using DeviceInputs = std::vector<DeviceBytes>;

// Enqueues the kernels of a batch, whose arguments are there. Of what RESOURCE_EXHAUSTED leaves
// behind nothing is in a residual.
using Launch = absl::AnyInvocable<absl::Status()>;

// One exchange of a batch, and what comes back of it when the lane has finished.
struct Slot {
  const ExchangeTask& task;
  const Layout& layout = task.description->layout;
  const uint32_t num_elements = layout.chunks()[task.chunk].num_elements;

  Buffer payload = {};
  // Of results that are encoded on the host: the first `num_values` count.
  std::vector<uint32_t> indices = {};
  std::vector<float> values = {};
  uint32_t num_values = 0;

  // Of a residual that lies on the device, in its memory.
  absl::Span<const float> residual = {};
  absl::Span<double> norm = {};
  Buffer snapshot = {};
  double sum_of_squares = 0;
  bool sums_on_host = false;

  template <typename Kind>
  const Kind& kind() const {
    return absl::get<Kind>(task.exchange.kind);
  }
  absl::Span<const uint8_t> live() const { return layout.live(task.chunk); }
};

bool IsMean(const Exchange& exchange) {
  return absl::holds_alternative<DenseExchange>(exchange.kind) ||
         absl::holds_alternative<ValuesExchange>(exchange.kind);
}

DType MeanDType(const Exchange& exchange) {
  const auto* const dense = absl::get_if<DenseExchange>(&exchange.kind);
  return dense != nullptr ? dense->dtype : absl::get<ValuesExchange>(exchange.kind).dtype;
}

bool IsEncodedOnHost(const Exchange& exchange) {
  return absl::holds_alternative<SketchExchange>(exchange.kind) ||
         absl::holds_alternative<SparseExchange>(exchange.kind);
}

class Batch {
 public:
  Batch(absl::Span<const ExchangeTask* const> tasks, Lane& lane, const Backend& host,
        const std::shared_ptr<BufferMemory>& pinned)
      : lane_(lane), host_(host), pinned_(pinned) {
    slots_.reserve(tasks.size());
    for (const ExchangeTask* const task : tasks) slots_.push_back({.task = *task});
  }

  absl::StatusOr<std::vector<ExchangeOutcome>> Run() {
    for (const Slot& slot : slots_) TALLY_RETURN_IF_ERROR(CheckPayloads(slot));
    TALLY_ASSIGN_OR_RETURN(Launch launch, absl::visit(*this, slots_[0].task.exchange.kind));
    TALLY_RETURN_IF_ERROR(StageSnapshots());
    absl::Status status = launch();
    if (absl::IsResourceExhausted(status)) return status;
    if (status.ok()) status = EnqueueNorms();
    if (status.ok()) status = lane_.Finish();
    if (status.ok()) return Outcomes();
    for (const Slot& slot : slots_) {
      if (slot.task.residual != nullptr) slot.task.residual->Lose(status);
    }
    return status;
  }

  // Stage arguments for all slots, of the first one's kind.
  absl::StatusOr<Launch> operator()(const DenseExchange&) { return StageMeans(); }
  absl::StatusOr<Launch> operator()(const ValuesExchange&) { return StageMeans(); }

  absl::StatusOr<Launch> operator()(const SignExchange&) {
    struct Round {
      std::vector<SignBlock> blocks;
      std::vector<uint32_t> segment_ends;
    };
    std::vector<Round> rounds(slots_.size());
    std::vector<SignRoundArgs> args(slots_.size());
    for (size_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      const SignExchange& sign = slot.kind<SignExchange>();
      Round& round = rounds[i];
      round.segment_ends = slot.layout.SegmentEnds(slot.task.chunk, sign.granularity);
      const size_t num_segments = round.segment_ends.size();
      TALLY_ASSIGN_OR_RETURN(const DeviceInputs inputs, Inputs(slot));
      for (const DeviceBytes input : inputs) {
        round.blocks.push_back(SignBlockOf(input, slot.num_elements, num_segments));
      }
      TALLY_ASSIGN_OR_RETURN(const DeviceBytes live, lane_.In(slot.live()));
      TALLY_ASSIGN_OR_RETURN(const absl::Span<uint8_t> result, Result(slot));
      const SignPayloadParts out = SignPartsOf(result, slot.num_elements, num_segments);
      args[i] = {.blocks = round.blocks,
                 .divisor = static_cast<float>(slot.task.divisor),
                 .segment_ends = round.segment_ends,
                 .live = live,
                 .rule = sign.scale_rule,
                 .residual = {},
                 .bits = out.bits,
                 .scales = out.scales};
    }
    // Last, so that residuals do not come for nothing where there is no room for the rest.
    for (size_t i = 0; i < slots_.size(); ++i) {
      TALLY_ASSIGN_OR_RETURN(args[i].residual, slots_[i].task.residual->OnDevice(lane_));
      if (!slots_[i].kind<SignExchange>().zero_residual) continue;
      TALLY_RETURN_IF_ERROR(
          lane_.queue().Zero(args[i].residual.data(), args[i].residual.size() * sizeof(float)));
    }
    return [this, rounds = std::move(rounds), args = std::move(args)] {
      return lane_.queue().SignRounds(args);
    };
  }

  absl::StatusOr<Launch> operator()(const VoteExchange& vote) {
    std::vector<DeviceInputs> ballots(slots_.size());
    std::vector<DeviceElectionArgs> elections;
    for (size_t i = 0; i < slots_.size(); ++i) {
      const ExchangeTask& task = slots_[i].task;
      TALLY_ASSIGN_OR_RETURN(ballots[i], Inputs(slots_[i]));
      TALLY_ASSIGN_OR_RETURN(const absl::Span<uint8_t> output, Result(slots_[i]));
      elections.push_back({.ballots = ballots[i],
                           .num_elements = slots_[i].num_elements,
                           .draws = ResultDraws(*task.description, task.chunk, task.place.round),
                           .output = output});
    }
    return [this, result = vote.result, ballots = std::move(ballots),
            elections = std::move(elections)] {
      switch (result) {
        case VoteResult::kCounts:
          return lane_.queue().CountVotes(elections);
        case VoteResult::kDrawn:
          return lane_.queue().DrawVotes(elections);
        default:
          return lane_.queue().MajorityVotes(elections);
      }
    };
  }

  absl::StatusOr<Launch> operator()(const SketchExchange&) {
    struct Choice {
      SketchShape shape;
      absl::Span<const float> table;
      absl::Span<float> estimates;
      DeviceBytes live;
      absl::Span<uint32_t> indices;
      absl::Span<float> values;
    };
    std::vector<DeviceInputs> inputs(slots_.size());
    std::vector<DeviceMeanArgs> means;
    std::vector<Choice> choices;
    for (size_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      const SketchExchange& sketch = slot.kind<SketchExchange>();
      const SketchShape shape = ShapeOf(sketch, slot.task.chunk);
      slot.num_values = NumCandidates(sketch, slot.layout, slot.task.chunk);
      slot.indices.resize(slot.num_values);
      if (sketch.with_estimates) slot.values.resize(slot.num_values);
      TALLY_ASSIGN_OR_RETURN(inputs[i], Inputs(slot));
      TALLY_ASSIGN_OR_RETURN(const absl::Span<float> table,
                             lane_.Scratch<float>(SketchCells(shape)));
      TALLY_ASSIGN_OR_RETURN(const absl::Span<float> estimates,
                             lane_.Scratch<float>(slot.num_elements));
      TALLY_ASSIGN_OR_RETURN(const DeviceBytes live, lane_.In(slot.live()));
      TALLY_ASSIGN_OR_RETURN(const auto indices, lane_.Out(absl::MakeSpan(slot.indices)));
      TALLY_ASSIGN_OR_RETURN(const auto values, lane_.Out(absl::MakeSpan(slot.values)));
      means.push_back(
          {.dtype = sketch.dtype,
           .inputs = inputs[i],
           .divisor = static_cast<float>(slot.task.divisor),
           .output_dtype = DType::kFloat32,
           .output = {reinterpret_cast<uint8_t*>(table.data()), table.size() * sizeof(float)}});
      if (slot.num_values == 0) continue;
      choices.push_back({shape, table, estimates, live, indices, values});
    }
    return [this, inputs = std::move(inputs), means = std::move(means),
            choices = std::move(choices)]() -> absl::Status {
      DeviceQueue& queue = lane_.queue();
      TALLY_RETURN_IF_ERROR(queue.DenseMeans(means));
      for (const Choice& choice : choices) {
        TALLY_RETURN_IF_ERROR(queue.Estimate(choice.shape, choice.table, choice.estimates));
        TALLY_RETURN_IF_ERROR(
            queue.SelectLargest(choice.estimates, choice.live, choice.indices, choice.values));
      }
      return absl::OkStatus();
    };
  }

  absl::StatusOr<Launch> operator()(const SparseExchange&) {
    struct Sum {
      std::vector<DeviceSparseBlock> blocks;
      uint32_t num_elements;
      float divisor;
      absl::Span<uint32_t> indices;
      absl::Span<float> means;
      absl::Span<uint32_t> count;
    };
    std::vector<Sum> sums;
    for (Slot& slot : slots_) {
      std::vector<DeviceSparseBlock> blocks;
      uint64_t num_values = 0;
      for (const SharedBuffer& payload : slot.task.payloads) {
        const absl::StatusOr<SparseBlock> block =
            DecodeSparse(payload->bytes(), slot.num_elements,
                         slot.kind<SparseExchange>().max_values, /*with_values=*/true);
        if (!block.ok()) return absl::InternalError(block.status().message());
        num_values += block->indices.size();
        TALLY_ASSIGN_OR_RETURN(const auto indices, lane_.In(absl::MakeConstSpan(block->indices)));
        TALLY_ASSIGN_OR_RETURN(const auto values, lane_.In(block->values));
        blocks.push_back({indices, values});
      }
      if (num_values == 0) continue;
      slot.indices.resize(std::min<uint64_t>(num_values, slot.num_elements));
      slot.values.resize(slot.indices.size());
      TALLY_ASSIGN_OR_RETURN(const auto indices, lane_.Out(absl::MakeSpan(slot.indices)));
      TALLY_ASSIGN_OR_RETURN(const auto means, lane_.Out(absl::MakeSpan(slot.values)));
      TALLY_ASSIGN_OR_RETURN(const auto count, lane_.Out(absl::MakeSpan(&slot.num_values, 1)));
      sums.push_back({std::move(blocks), slot.num_elements, static_cast<float>(slot.task.divisor),
                      indices, means, count});
    }
    return [this, sums = std::move(sums)]() -> absl::Status {
      for (const Sum& sum : sums) {
        TALLY_RETURN_IF_ERROR(lane_.queue().SparseMean(sum.blocks, sum.num_elements, sum.divisor,
                                                       sum.indices, sum.means, sum.count.data()));
      }
      return absl::OkStatus();
    };
  }

  absl::StatusOr<Launch> operator()(const SignRelayExchange&) {
    return absl::InternalError("relayed signs have no arithmetic");
  }

 private:
  // The device reads as many bytes as a valid payload has.
  static absl::Status CheckPayloads(const Slot& slot) {
    const PayloadSize size = ContributionSize(slot.task.exchange, slot.layout, slot.task.chunk);
    for (const SharedBuffer& payload : slot.task.payloads) {
      if (!size.fixed || payload->size() == size.max_bytes) continue;
      return absl::InternalError(
          absl::StrCat("`payload` has ", payload->size(), " bytes, must have ", size.max_bytes));
    }
    return absl::OkStatus();
  }

  bool IsPinned(const Buffer& buffer) const {
    return buffer.memory() != nullptr && buffer.memory() == pinned_.get();
  }

  absl::Status CopyBack(const void* device, Buffer& buffer) {
    return IsPinned(buffer) ? lane_.CopyBackToPinned(device, buffer.bytes())
                            : lane_.CopyBack(device, buffer.bytes());
  }

  absl::StatusOr<DeviceInputs> Inputs(const Slot& slot) {
    DeviceInputs inputs;
    inputs.reserve(slot.task.payloads.size());
    for (const SharedBuffer& payload : slot.task.payloads) {
      TALLY_ASSIGN_OR_RETURN(const DeviceBytes input, IsPinned(*payload)
                                                          ? lane_.InFromPinned(payload->bytes())
                                                          : lane_.In(payload->bytes()));
      inputs.push_back(input);
    }
    return inputs;
  }

  // Where the kernels write a payload whose size is known.
  absl::StatusOr<absl::Span<uint8_t>> Result(Slot& slot) {
    const auto num_participants = static_cast<uint32_t>(slot.task.payloads.size());
    slot.payload = Buffer(
        ResultSize(slot.task.exchange, slot.layout, slot.task.chunk, num_participants).max_bytes,
        pinned_);
    TALLY_ASSIGN_OR_RETURN(const absl::Span<uint8_t> result,
                           lane_.Scratch<uint8_t>(slot.payload.size()));
    TALLY_RETURN_IF_ERROR(CopyBack(result.data(), slot.payload));
    return result;
  }

  absl::StatusOr<Launch> StageMeans() {
    std::vector<DeviceInputs> inputs(slots_.size());
    std::vector<DeviceMeanArgs> means;
    for (size_t i = 0; i < slots_.size(); ++i) {
      const DType dtype = MeanDType(slots_[i].task.exchange);
      TALLY_ASSIGN_OR_RETURN(inputs[i], Inputs(slots_[i]));
      TALLY_ASSIGN_OR_RETURN(const absl::Span<uint8_t> output, Result(slots_[i]));
      means.push_back({.dtype = dtype,
                       .inputs = inputs[i],
                       .divisor = static_cast<float>(slots_[i].task.divisor),
                       .output_dtype = dtype,
                       .output = output});
    }
    return [this, inputs = std::move(inputs), means = std::move(means)] {
      return lane_.queue().DenseMeans(means);
    };
  }

  absl::Status StageSnapshots() {
    for (Slot& slot : slots_) {
      if (slot.task.snapshot_of == nullptr || !slot.task.snapshot_of->is_on_device()) continue;
      TALLY_ASSIGN_OR_RETURN(slot.residual, slot.task.snapshot_of->OnDevice(lane_));
      TALLY_ASSIGN_OR_RETURN(slot.norm, lane_.Out(absl::MakeSpan(&slot.sum_of_squares, 1)));
      slot.snapshot = Buffer(slot.residual.size() * sizeof(float), pinned_);
      TALLY_RETURN_IF_ERROR(CopyBack(slot.residual.data(), slot.snapshot));
    }
    return absl::OkStatus();
  }

  // The exchanges are enqueued: want of memory cannot take them back.
  absl::Status EnqueueNorms() {
    for (Slot& slot : slots_) {
      if (slot.residual.empty()) continue;
      const absl::Status status = lane_.queue().SumOfSquares(slot.residual, slot.norm.data());
      slot.sums_on_host = absl::IsResourceExhausted(status);
      if (!slot.sums_on_host) TALLY_RETURN_IF_ERROR(status);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ExchangeOutcome>> Outcomes() {
    std::vector<ExchangeOutcome> outcomes;
    for (Slot& slot : slots_) {
      if (IsEncodedOnHost(slot.task.exchange)) {
        slot.indices.resize(slot.num_values);
        if (!slot.values.empty()) slot.values.resize(slot.num_values);
        slot.payload = EncodeSparse(slot.indices, slot.values, slot.num_elements);
      }
      ExchangeOutcome& outcome =
          outcomes.emplace_back(OutcomeOf(slot.task, std::move(slot.payload)));
      if (slot.task.snapshot_of == nullptr) continue;
      if (slot.residual.empty()) {
        TALLY_RETURN_IF_ERROR(TakeSnapshot(*slot.task.snapshot_of, host_, outcome));
        continue;
      }
      if (slot.sums_on_host) {
        slot.sum_of_squares =
            host_.SumOfSquares({reinterpret_cast<const float*>(slot.snapshot.data()),
                                slot.snapshot.size() / sizeof(float)});
      }
      AddSnapshot(std::move(slot.snapshot), slot.sum_of_squares, outcome);
    }
    return outcomes;
  }

  Lane& lane_;
  const Backend& host_;
  const std::shared_ptr<BufferMemory>& pinned_;
  std::vector<Slot> slots_;
};

}  // namespace

bool HasDeviceKernels(const Exchange& exchange) {
  return !absl::holds_alternative<SignRelayExchange>(exchange.kind);
}

bool ShareLaunch(const Exchange& a, const Exchange& b) {
  if (IsMean(a) && IsMean(b)) return true;
  if (a.kind.index() != b.kind.index()) return false;
  const auto* const vote = absl::get_if<VoteExchange>(&a.kind);
  return vote == nullptr || vote->result == absl::get<VoteExchange>(b.kind).result;
}

absl::StatusOr<std::vector<ExchangeOutcome>> RunOnDevice(
    absl::Span<const ExchangeTask* const> tasks, Lane& lane, const Backend& host,
    const std::shared_ptr<BufferMemory>& pinned) {
  const ScopedFloatEnvironment float_environment;
  absl::StatusOr<std::vector<ExchangeOutcome>> outcomes = Batch(tasks, lane, host, pinned).Run();
  if (!outcomes.ok()) lane.Abandon();
  return outcomes;
}

}  // namespace tally
