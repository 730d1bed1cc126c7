// The arithmetic of aggregation and compression: one interface, several implementations that agree
// bit for bit.
#ifndef TALLY_KERNELS_BACKEND_H_
#define TALLY_KERNELS_BACKEND_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/dtype.h"
#include "kernels/sign_block.h"
#include "kernels/sketch_kernels.h"
#include "kernels/vote_kernels.h"

namespace tally {

class Device;

// How a segment's scale follows from its elements x.
enum class ScaleRule : uint8_t {
  kRootMeanSquare,  // ||x||_2 / sqrt(d): 1-bit Adam
  kMeanMagnitude,   // ||x||_1 / d: CD-Adam; the least-squares optimum
};

// Arguments of Backend::Accumulate. `num_elements` is sum.size().
struct AccumulateArgs {
  // [num_elements] in: the sum a that was kept; out: (a - counted) + input.
  absl::Span<float> sum;
  // [num_elements] what joins the sum.
  absl::Span<const float> input;
  // What leaves the sum: the last contribution if a result counted it. Empty spans: nothing leaves.
  SignBlock counted;
  SegmentEnds segment_ends;
  // [BitmapBytes(num_elements)] bit 1: the element lives; bit 0: it is masked, its sum becomes +0
  // and it counts in no norm. Empty: all live.
  absl::Span<const uint8_t> live;
  ScaleRule rule;
  // [num_segments] out: sum of squares (kRootMeanSquare) or of magnitudes (kMeanMagnitude) of the
  // new sum, in the order of SumOfSquares over the segment: its first element is element 0.
  absl::Span<double> norms;
};

// Arguments of Backend::SignRound. `num_elements` is residual.size().
struct SignRoundArgs {
  // Participants' blocks, in the order of their worker ids (bytewise). At least one.
  absl::Span<const SignBlock> blocks;
  // Divides the sum of the blocks. Finite, positive.
  float divisor;
  SegmentEnds segment_ends;
  // As in AccumulateArgs.
  absl::Span<const uint8_t> live;
  ScaleRule rule;
  // [num_elements] in: the residual e before the round; out: after it.
  absl::Span<float> residual;
  // [BitmapBytes(num_elements)] out: signs of (sum / divisor + e). Unused bits of the last byte are
  // 0.
  absl::Span<uint8_t> bits;
  // [num_segments] out.
  absl::Span<float> scales;
};

// Arguments of Backend::AdamStep. All spans have the same size, except that `largest_moment` may be
// empty.
struct AdamArgs {
  absl::Span<float> parameters;      // x, in and out
  absl::Span<float> first_moment;    // m, in and out
  absl::Span<float> second_moment;   // v, in and out
  absl::Span<float> largest_moment;  // AMSGrad's maximum of v, in and out; empty for Adam
  absl::Span<const float> gradient;  // g
  float beta1;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float learning_rate;
  float first_correction;   // 1 / (1 - beta1^t), or 1
  float second_correction;  // 1 / (1 - beta2^t), or 1
  float epsilon;
  float weight_decay;  // decoupled
};

// Arguments of Backend::MomentumStep: Adam's step with a variance that no longer changes.
struct MomentumArgs {
  absl::Span<float> parameters;           // x, in and out
  absl::Span<const float> first_moment;   // m
  absl::Span<const float> second_moment;  // v
  float learning_rate;
  float first_correction;
  float second_correction;
  float epsilon;
  float weight_decay;
};

// Kernels over spans in host memory. Implementations hold no state: every method may be called from
// any number of threads at once, on arguments that do not overlap.
//
// All implementations give the same bits for the same arguments, because each method fixes its
// order of operations: elementwise work is done in fp32, one rounding per operation, never
// contracted; sums over participants run in the order given, starting from the first participant's
// value; reductions follow SumOfSquares. The scalar back end is the definition;
// kernels/conformance.h holds the others to it. The caller's thread must round to nearest and keep
// denormals (base/float_environment.h).
//
// Every fallible method returns INVALID_ARGUMENT, before anything is written, if the sizes of its
// arguments do not fit each other; if memory that it writes overlaps another argument, unless
// stated otherwise; if `segment_ends` is not strictly increasing from above 0 up to num_elements;
// if a block's scale is not finite or is negative; if a divisor is not finite and positive; if a
// list that needs one entry is empty; or if an enumerator does not exist. The message names the
// argument. No value of an element is checked: NaNs and infinities go the way of fp32 arithmetic.
class Backend {
 public:
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // Short name for flags and logs: "scalar", "simd".
  virtual absl::string_view name() const = 0;
  // True if this machine can run it.
  virtual bool IsSupported() const = 0;

  // The accelerator that it computes on (kernels/device/device.h); null: the host's processor.
  virtual Device* device() const { return nullptr; }

  // Its kernels over votes and over count sketches; they live as long as this.
  virtual const VoteKernels& votes() const = 0;
  virtual const SketchKernels& sketches() const = 0;

  // Returns the sum of x[i]^2 in fp64 with a fixed order: x is cut into blocks of 4,096; within a
  // block element i is added to partial sum i % 32 in increasing order of i, starting from +0; the
  // 32 partial sums are folded in halves (p[j] += p[j + 16], then 8, 4, 2, 1); blocks are added in
  // order.
  double SumOfSquares(absl::Span<const float> x) const;
  // The same for |x[i]|.
  double SumOfMagnitudes(absl::Span<const float> x) const;
  // The same for x[i] * y[i], each product in fp64: exact. For diagnostics; of the common length,
  // if one is longer.
  double DotProduct(absl::Span<const float> x, absl::Span<const float> y) const;
  // True if every x[i] is finite and |x[i]| <= bound.
  bool AllWithin(absl::Span<const float> x, float bound) const;

  // out[i] = a * x[i] + b * y[i]: two products, then one sum. `out` may be x or y, else overlaps
  // neither.
  absl::Status Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                     absl::Span<float> out) const;

  // First pass of the worker's error feedback: a' = (a - counted) + input, and its norms.
  absl::Status Accumulate(const AccumulateArgs& args) const;
  // Second pass: bit i = !(x[i] < 0), so that +0 and -0 count as +1; x stays. `bits`
  // [BitmapBytes(x.size())]; unused bits of the last byte are 0. A NaN counts as +1 too; callers
  // let none come here.
  absl::Status PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const;

  // out[i] = sum over blocks of the signed scale of element i, in the order given; masked elements
  // are +0. With one block this decodes it. At least one block.
  absl::Status SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                        absl::Span<const uint8_t> live, absl::Span<float> out) const;
  // The aggregator's half of a two-way sign round, for each segment:
  //   a = sum / divisor + e (masked: +0);  s = ScaleFromNorm(rule, norm(a), live elements);
  //   bits = !(a < 0);  e' = a - (bit ? s : -s) (masked: +0).
  absl::Status SignRound(const SignRoundArgs& args) const;

  // Mean of dense payloads: fp32 sum in the order given, IEEE division by `divisor`, one rounding
  // to `dtype` (to nearest even). `inputs` and `output` are little-endian arrays of the same number
  // of elements, any alignment. At least one input; divisor finite and positive.
  absl::Status DenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs,
                         float divisor, absl::Span<uint8_t> output) const;
  // Rounds to nearest even; what is too large for `dtype` becomes infinity. bytes: x.size() *
  // ElementBytes(dtype).
  absl::Status EncodeDense(DType dtype, absl::Span<const float> x, absl::Span<uint8_t> bytes) const;
  // Exact.
  absl::Status DecodeDense(DType dtype, absl::Span<const uint8_t> bytes, absl::Span<float> x) const;

  // m = beta1 * m + one_minus_beta1 * g;  v = beta2 * v + one_minus_beta2 * (g * g);
  // w = v, or with AMSGrad w = largest = (largest < v ? v : largest);
  // x = x - learning_rate * ((m * first_correction) / (sqrt(w * second_correction) + epsilon) +
  // weight_decay * x).
  absl::Status AdamStep(const AdamArgs& args) const;
  // The last line of AdamStep with w = v.
  absl::Status MomentumStep(const MomentumArgs& args) const;

 protected:
  Backend() = default;

 private:
  // The same operations on arguments that were checked. `x` and the spans are never empty.
  virtual double DoSumOfSquares(absl::Span<const float> x) const = 0;
  virtual double DoSumOfMagnitudes(absl::Span<const float> x) const = 0;
  virtual double DoDotProduct(absl::Span<const float> x, absl::Span<const float> y) const = 0;
  virtual bool DoAllWithin(absl::Span<const float> x, float bound) const = 0;
  virtual void DoBlend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                       absl::Span<float> out) const = 0;
  virtual void DoAccumulate(const AccumulateArgs& args) const = 0;
  virtual void DoPackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const = 0;
  virtual void DoSumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                          absl::Span<const uint8_t> live, absl::Span<float> out) const = 0;
  virtual void DoSignRound(const SignRoundArgs& args) const = 0;
  virtual void DoDenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs,
                           float divisor, absl::Span<uint8_t> output) const = 0;
  virtual void DoEncodeDense(DType dtype, absl::Span<const float> x,
                             absl::Span<uint8_t> bytes) const = 0;
  virtual void DoDecodeDense(DType dtype, absl::Span<const uint8_t> bytes,
                             absl::Span<float> x) const = 0;
  virtual void DoAdamStep(const AdamArgs& args) const = 0;
  virtual void DoMomentumStep(const MomentumArgs& args) const = 0;
};

// Scale of a segment from its norm (sum of squares or of magnitudes) over `num_live` elements: fp64
// division and square root, one rounding to fp32. 0 if no element lives.
// At most 2^64, the largest scale that may be sent.
float ScaleFromNorm(ScaleRule rule, double norm, uint64_t num_live);

}  // namespace tally

#endif  // TALLY_KERNELS_BACKEND_H_
