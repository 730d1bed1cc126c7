// Blend and the optimizers' steps.
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 256;

LaunchShape ShapeOf(uint64_t num_elements) { return {BlocksFor(num_elements, kThreads), kThreads}; }

__device__ uint64_t ElementIndex() { return uint64_t{blockIdx.x} * kThreads + threadIdx.x; }

struct BlendArgs {
  float a;
  const float* x;
  float b;
  const float* y;
  float* out;
  uint64_t num_elements;
};

__global__ void BlendKernel(BlendArgs args) {
  const uint64_t i = ElementIndex();
  if (i < args.num_elements) args.out[i] = args.a * args.x[i] + args.b * args.y[i];
}

// What the steps have in common.
struct StepArgs {
  float* parameters;
  float* first_moment;
  float* second_moment;
  float* largest_moment;  // null: Adam
  const float* gradient;  // null: the moments stay as they are
  float beta1;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float learning_rate;
  float first_correction;
  float second_correction;
  float epsilon;
  float weight_decay;
  uint64_t num_elements;
};

__global__ void StepKernel(StepArgs args) {
  const uint64_t i = ElementIndex();
  if (i >= args.num_elements) return;
  float m = args.first_moment[i];
  float w = args.second_moment[i];
  if (args.gradient != nullptr) {
    const float gradient = args.gradient[i];
    m = args.beta1 * m + args.one_minus_beta1 * gradient;
    const float v = args.beta2 * w + args.one_minus_beta2 * (gradient * gradient);
    w = v;
    if (args.largest_moment != nullptr) {
      const float largest = args.largest_moment[i];
      w = largest < v ? v : largest;
      args.largest_moment[i] = w;
    }
    args.first_moment[i] = m;
    args.second_moment[i] = v;
  }
  const float parameter = args.parameters[i];
  const float numerator = m * args.first_correction;
  const float denominator = sqrtf(w * args.second_correction) + args.epsilon;
  const float direction = numerator / denominator + args.weight_decay * parameter;
  args.parameters[i] = parameter - args.learning_rate * direction;
}

}  // namespace

absl::Status CudaQueue::Blend(float a, absl::Span<const float> x, float b,
                              absl::Span<const float> y, absl::Span<float> out) {
  return Checked(Launch(BlendKernel, ShapeOf(out.size()), stream_,
                        {a, x.data(), b, y.data(), out.data(), out.size()}));
}

absl::Status CudaQueue::AdamStep(const AdamArgs& args) {
  return Checked(
      Launch(StepKernel, ShapeOf(args.parameters.size()), stream_,
             {.parameters = args.parameters.data(),
              .first_moment = args.first_moment.data(),
              .second_moment = args.second_moment.data(),
              .largest_moment = args.largest_moment.empty() ? nullptr : args.largest_moment.data(),
              .gradient = args.gradient.data(),
              .beta1 = args.beta1,
              .one_minus_beta1 = args.one_minus_beta1,
              .beta2 = args.beta2,
              .one_minus_beta2 = args.one_minus_beta2,
              .learning_rate = args.learning_rate,
              .first_correction = args.first_correction,
              .second_correction = args.second_correction,
              .epsilon = args.epsilon,
              .weight_decay = args.weight_decay,
              .num_elements = args.parameters.size()}));
}

absl::Status CudaQueue::MomentumStep(const MomentumArgs& args) {
  // Without a gradient the kernel only reads the moments.
  return Checked(Launch(StepKernel, ShapeOf(args.parameters.size()), stream_,
                        {.parameters = args.parameters.data(),
                         .first_moment = const_cast<float*>(args.first_moment.data()),
                         .second_moment = const_cast<float*>(args.second_moment.data()),
                         .learning_rate = args.learning_rate,
                         .first_correction = args.first_correction,
                         .second_correction = args.second_correction,
                         .epsilon = args.epsilon,
                         .weight_decay = args.weight_decay,
                         .num_elements = args.parameters.size()}));
}

}  // namespace tally::cuda
