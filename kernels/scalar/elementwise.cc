#include "kernels/scalar/elementwise.h"

#include <cmath>
#include <cstddef>

namespace tally::scalar {
namespace {

// AdamArgs and MomentumArgs name what they share alike.
template <typename Args>
float Stepped(const Args& args, float parameter, float first_moment, float second_moment) {
  const float numerator = first_moment * args.first_correction;
  const float denominator = std::sqrt(second_moment * args.second_correction) + args.epsilon;
  const float direction = numerator / denominator + args.weight_decay * parameter;
  return parameter - args.learning_rate * direction;
}

}  // namespace

void Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
           absl::Span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = a * x[i] + b * y[i];
}

void AdamStep(const AdamArgs& args) {
  for (size_t i = 0; i < args.parameters.size(); ++i) {
    const float gradient = args.gradient[i];
    const float m = args.beta1 * args.first_moment[i] + args.one_minus_beta1 * gradient;
    const float v =
        args.beta2 * args.second_moment[i] + args.one_minus_beta2 * (gradient * gradient);
    float w = v;
    if (!args.largest_moment.empty()) {
      w = args.largest_moment[i] < v ? v : args.largest_moment[i];
      args.largest_moment[i] = w;
    }
    args.first_moment[i] = m;
    args.second_moment[i] = v;
    args.parameters[i] = Stepped(args, args.parameters[i], m, w);
  }
}

void MomentumStep(const MomentumArgs& args) {
  for (size_t i = 0; i < args.parameters.size(); ++i) {
    args.parameters[i] =
        Stepped(args, args.parameters[i], args.first_moment[i], args.second_moment[i]);
  }
}

}  // namespace tally::scalar
