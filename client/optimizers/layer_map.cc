#include "client/optimizers/layer_map.h"

namespace tally {
namespace {

LayerMap::Layer LayerOf(const Layout& layout, size_t tensor) {
  const Tensor& of = layout.tensors()[tensor];
  LayerMap::Layer layer;
  layer.offset = layout.tensor_offset(tensor);
  layer.num_elements = of.num_elements;
  layer.dense = of.treatment == Treatment::kDense;
  uint64_t begin = 0;
  const auto add_run = [&](uint64_t end) {
    if (end > begin) layer.runs.push_back({layer.offset + begin, end - begin});
    layer.num_live += end - begin;
  };
  for (const ElementRange& masked : of.masked) {
    add_run(masked.begin);
    begin = masked.end;
  }
  add_run(layer.num_elements);
  return layer;
}

}  // namespace

LayerMap::LayerMap(const Layout& layout) {
  for (size_t t = 0; t < layout.tensors().size(); ++t) layers_.push_back(LayerOf(layout, t));
  std::sort(layers_.begin(), layers_.end(),
            [](const Layer& a, const Layer& b) { return a.offset < b.offset; });
  uint32_t chunk = 0;
  const auto chunk_of = [&](uint64_t element) {
    while (element >= layout.chunks()[chunk].offset + layout.chunks()[chunk].num_elements) ++chunk;
    return chunk;
  };
  for (Layer& layer : layers_) {
    layer.first_chunk = chunk_of(layer.offset);
    layer.last_chunk = chunk_of(layer.offset + layer.num_elements - 1);
  }
}

size_t LayerMap::LayerAt(uint64_t element) const {
  const auto after =
      std::upper_bound(layers_.begin(), layers_.end(), element,
                       [](uint64_t e, const Layer& layer) { return e < layer.offset; });
  return static_cast<size_t>(after - layers_.begin()) - 1;
}

}  // namespace tally
