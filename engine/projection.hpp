// y = W x + b with the weights of a file, packed for the kernels.
#pragma once

#include "kernels/kernels.hpp"

#include <string>
#include <vector>

namespace kvasir::engine {

// A tensor that a projection stacks: its name without ".weight", and its rows.
struct StackedTensor {
  std::string name;
  int outputs = 0;
};

// W may be several stored matrices stacked (QKV, gate + up), so that one pass reads them all. Parts of different types
// stay apart. The packed weights lie in the model's arena.
class Projection {
 public:
  struct Part {
    kernels::PackedMatrix matrix;
    int offset = 0;  // where its outputs begin
  };

  Projection() = default;
  Projection(int inputs, std::vector<StackedTensor> tensors) : inputs_(inputs), tensors_(std::move(tensors)) {}

  void append(const kernels::PackedMatrix& matrix) {
    parts_.push_back({matrix, outputs_});
    outputs_ += matrix.rows;
  }
  // [outputs]
  void set_bias(std::vector<float> bias) { bias_ = std::move(bias); }

  int inputs() const { return inputs_; }
  int outputs() const { return outputs_; }
  const std::vector<Part>& parts() const { return parts_; }
  // In the order of their outputs.
  const std::vector<StackedTensor>& tensors() const { return tensors_; }
  // Of a part's outputs; nullptr: none.
  const float* bias(const Part& part) const { return bias_.empty() ? nullptr : bias_.data() + part.offset; }
  bool reads_quantized() const {
    for (const Part& part : parts_)
      if (kernels::is_quantized(part.matrix.type)) return true;
    return false;
  }

 private:
  int inputs_ = 0;
  int outputs_ = 0;
  std::vector<StackedTensor> tensors_;
  std::vector<Part> parts_;
  std::vector<float> bias_;
};

}  // namespace kvasir::engine
