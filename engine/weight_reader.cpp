#include "engine/weight_reader.hpp"

#include "engine/model_file_types.hpp"
#include "engine/model_metadata.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {

using kernels::WeightType;

std::optional<WeightType> weight_type(const Tensor& tensor) {
  const auto type = static_cast<WeightType>(tensor.type);
  switch (type) {
    case WeightType::f32:
    case WeightType::f16:
    case WeightType::bf16:
      return type;
    default:
      return kernels::is_quantized(type) ? std::optional(type) : std::nullopt;
  }
}

void WeightReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

const Tensor* WeightReader::tensor(const std::string& name, int inputs, int outputs) {
  if (error_) return nullptr;
  read_.insert(name);
  const Tensor* tensor = file_.tensor(name);
  if (tensor == nullptr) {
    fail(bad_model(file_, "tensor " + name + " is missing"));
    return nullptr;
  }
  if (tensor->shape[0] != static_cast<std::uint64_t>(inputs) ||
      tensor->shape[1] != static_cast<std::uint64_t>(outputs) ||
      tensor->elements() != tensor->shape[0] * tensor->shape[1]) {
    fail(bad_model(file_, fmt::format("tensor {} has shape [{}, {}], expected [{}, {}]", name, tensor->shape[0],
                                      tensor->shape[1], inputs, outputs)));
    return nullptr;
  }
  if (!weight_type(*tensor)) {
    const TensorFormat* format = tensor_format(tensor->type);
    fail(unsupported_model(file_,
                           fmt::format("tensor {} has type {}, which this version does not compute with", name,
                                       format == nullptr ? std::to_string(tensor->type) : std::string(format->name))));
    return nullptr;
  }
  return tensor;
}

std::vector<float> WeightReader::vector(const std::string& name, int size) {
  const Tensor* found = tensor(name, size, 1);
  if (found == nullptr) return {};
  std::vector<float> values(static_cast<std::size_t>(size));
  kernels::dequantize_row(*weight_type(*found), found->data.data(), size, values.data());
  return values;
}

std::vector<float> WeightReader::biases(const std::vector<StackedTensor>& tensors, int outputs) {
  std::vector<float> all;
  int row = 0;
  for (const auto& [name, rows] : tensors) {
    if (has(name + ".bias")) {
      all.resize(static_cast<std::size_t>(outputs));
      const std::vector<float> bias = vector(name + ".bias", rows);
      std::copy(bias.begin(), bias.end(), all.begin() + row);
    }
    row += rows;
  }
  return all;
}

Projection WeightReader::projection(int inputs, const std::vector<StackedTensor>& tensors) {
  Projection projection(inputs, tensors);
  std::vector<const Tensor*> found;
  for (const auto& [name, outputs] : tensors) found.push_back(tensor(name + ".weight", inputs, outputs));
  if (error_) return projection;
  for (std::size_t first = 0; first < found.size();) {
    const WeightType type = *weight_type(*found[first]);
    std::size_t last = first;
    int rows = 0;
    while (last < found.size() && found[last]->type == found[first]->type) rows += tensors[last++].outputs;
    std::byte* memory = arena_.allocate(kernels::packed_bytes(type, rows, inputs));
    if (memory == nullptr) {
      fail({ErrorCode::internal, file_.path() + ": not enough memory for the weights", "", 0});
      return projection;
    }
    int row = 0;
    for (std::size_t i = first; i < last; row += tensors[i++].outputs)
      kernels::pack(type, found[i]->data.data(), tensors[i].outputs, inputs, row, memory);
    projection.append({type, rows, inputs, memory});
    first = last;
  }
  projection.set_bias(biases(tensors, projection.outputs()));
  return projection;
}

std::optional<std::string> WeightReader::left_over() const {
  for (const auto& [name, tensor] : file_.tensors())
    if (!read_.contains(name)) return name;
  return std::nullopt;
}

}  // namespace kvasir::engine
