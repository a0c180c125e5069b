// Takes a model file's tensors one by one, checked, and knows in the end whether any was left.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/projection.hpp"
#include "kernels/weight_arena.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kvasir::engine {

// After the first error nothing is read any more.
class WeightReader {
 public:
  WeightReader(const ModelFile& file, kernels::WeightArena& arena) : file_(file), arena_(arena) {}

  bool has(const std::string& name) const { return file_.tensor(name) != nullptr; }
  // A matrix [outputs, inputs], or a vector with `outputs` 1. nullptr after an error.
  const Tensor* tensor(const std::string& name, int inputs, int outputs);
  std::vector<float> vector(const std::string& name, int size);
  // With the tensors' biases, if they have any.
  Projection projection(int inputs, const std::vector<StackedTensor>& tensors);
  // A tensor that somebody else reads.
  void skip(const std::string& name) { read_.insert(name); }

  const std::optional<Error>& error() const { return error_; }
  // A tensor of the file that nobody took.
  std::optional<std::string> left_over() const;

 private:
  void fail(Error error);
  std::vector<float> biases(const std::vector<StackedTensor>& tensors, int outputs);

  const ModelFile& file_;
  kernels::WeightArena& arena_;
  std::set<std::string, std::less<>> read_;
  std::optional<Error> error_;
};

// The type that kernels compute with; nothing if they do not.
std::optional<kernels::WeightType> weight_type(const Tensor& tensor);

}  // namespace kvasir::engine
