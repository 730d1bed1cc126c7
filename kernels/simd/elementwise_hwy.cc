#include <cstddef>

#include "kernels/scalar/elementwise.h"
#include "kernels/simd/elementwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/elementwise_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// The part of a step that Adam and momentum share, its constants in registers.
class ParameterStep {
 public:
  template <typename Args>
  HWY_INLINE explicit ParameterStep(const Args& args)
      : learning_rate_(hn::Set(FloatTag(), args.learning_rate)),
        first_correction_(hn::Set(FloatTag(), args.first_correction)),
        second_correction_(hn::Set(FloatTag(), args.second_correction)),
        epsilon_(hn::Set(FloatTag(), args.epsilon)),
        weight_decay_(hn::Set(FloatTag(), args.weight_decay)) {}

  HWY_INLINE FloatVector operator()(FloatVector parameter, FloatVector first_moment,
                                    FloatVector second_moment) const {
    const FloatVector root = hn::Sqrt(hn::Mul(second_moment, second_correction_));
    const FloatVector ratio =
        hn::Div(hn::Mul(first_moment, first_correction_), hn::Add(root, epsilon_));
    const FloatVector direction = hn::Add(ratio, hn::Mul(weight_decay_, parameter));
    return hn::Sub(parameter, hn::Mul(learning_rate_, direction));
  }

 private:
  FloatVector learning_rate_;
  FloatVector first_correction_;
  FloatVector second_correction_;
  FloatVector epsilon_;
  FloatVector weight_decay_;
};

template <bool kKeepsLargest>
void AdamVectors(const AdamArgs& args, size_t num_elements) {
  const FloatTag tag;
  const FloatVector beta1 = hn::Set(tag, args.beta1);
  const FloatVector one_minus_beta1 = hn::Set(tag, args.one_minus_beta1);
  const FloatVector beta2 = hn::Set(tag, args.beta2);
  const FloatVector one_minus_beta2 = hn::Set(tag, args.one_minus_beta2);
  const ParameterStep step(args);
  for (size_t i = 0; i < num_elements; i += kLanes) {
    const FloatVector gradient = hn::LoadU(tag, args.gradient.data() + i);
    const FloatVector m = hn::Add(hn::Mul(beta1, hn::LoadU(tag, args.first_moment.data() + i)),
                                  hn::Mul(one_minus_beta1, gradient));
    const FloatVector v = hn::Add(hn::Mul(beta2, hn::LoadU(tag, args.second_moment.data() + i)),
                                  hn::Mul(one_minus_beta2, hn::Mul(gradient, gradient)));
    FloatVector w = v;
    if constexpr (kKeepsLargest) {
      const FloatVector largest = hn::LoadU(tag, args.largest_moment.data() + i);
      w = hn::IfThenElse(hn::Lt(largest, v), v, largest);
      hn::StoreU(w, tag, args.largest_moment.data() + i);
    }
    hn::StoreU(m, tag, args.first_moment.data() + i);
    hn::StoreU(v, tag, args.second_moment.data() + i);
    const FloatVector parameter = hn::LoadU(tag, args.parameters.data() + i);
    hn::StoreU(step(parameter, m, w), tag, args.parameters.data() + i);
  }
}

// The elements that fill no vector are left to the scalar back end.

void BlendOf(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
             absl::Span<float> out) {
  const FloatTag tag;
  const FloatVector factor_x = hn::Set(tag, a);
  const FloatVector factor_y = hn::Set(tag, b);
  size_t i = 0;
  for (; i + kLanes <= out.size(); i += kLanes) {
    const FloatVector product_x = hn::Mul(factor_x, hn::LoadU(tag, x.data() + i));
    const FloatVector product_y = hn::Mul(factor_y, hn::LoadU(tag, y.data() + i));
    hn::StoreU(hn::Add(product_x, product_y), tag, out.data() + i);
  }
  scalar::Blend(a, x.subspan(i), b, y.subspan(i), out.subspan(i));
}

void AdamStepOf(const AdamArgs& args) {
  const size_t done = args.parameters.size() / kLanes * kLanes;
  AdamArgs rest = args;
  if (args.largest_moment.empty()) {
    AdamVectors<false>(args, done);
  } else {
    AdamVectors<true>(args, done);
    rest.largest_moment = args.largest_moment.subspan(done);
  }
  rest.parameters = args.parameters.subspan(done);
  rest.first_moment = args.first_moment.subspan(done);
  rest.second_moment = args.second_moment.subspan(done);
  rest.gradient = args.gradient.subspan(done);
  scalar::AdamStep(rest);
}

void MomentumStepOf(const MomentumArgs& args) {
  const FloatTag tag;
  const ParameterStep step(args);
  size_t i = 0;
  for (; i + kLanes <= args.parameters.size(); i += kLanes) {
    const FloatVector parameter = hn::LoadU(tag, args.parameters.data() + i);
    const FloatVector m = hn::LoadU(tag, args.first_moment.data() + i);
    const FloatVector v = hn::LoadU(tag, args.second_moment.data() + i);
    hn::StoreU(step(parameter, m, v), tag, args.parameters.data() + i);
  }
  MomentumArgs rest = args;
  rest.parameters = args.parameters.subspan(i);
  rest.first_moment = args.first_moment.subspan(i);
  rest.second_moment = args.second_moment.subspan(i);
  scalar::MomentumStep(rest);
}

#else

void BlendOf(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
             absl::Span<float> out) {
  scalar::Blend(a, x, b, y, out);
}

void AdamStepOf(const AdamArgs& args) { scalar::AdamStep(args); }

void MomentumStepOf(const MomentumArgs& args) { scalar::MomentumStep(args); }

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally::simd {

HWY_EXPORT(BlendOf);
HWY_EXPORT(AdamStepOf);
HWY_EXPORT(MomentumStepOf);

void Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
           absl::Span<float> out) {
  HWY_DYNAMIC_DISPATCH(BlendOf)(a, x, b, y, out);
}

void AdamStep(const AdamArgs& args) { HWY_DYNAMIC_DISPATCH(AdamStepOf)(args); }

void MomentumStep(const MomentumArgs& args) { HWY_DYNAMIC_DISPATCH(MomentumStepOf)(args); }

}  // namespace tally::simd
#endif  // HWY_ONCE
