#include "engine/lora.hpp"

#include "engine/lora_file.hpp"

#include <fmt/core.h>

namespace kvasir::engine {

Result<kernels::PackedMatrix> LoraAdapter::pack(const std::vector<float>& values, int rows, int cols) {
  constexpr auto type = kernels::WeightType::f32;
  std::byte* memory = arena_.allocate(kernels::packed_bytes(type, rows, cols));
  if (memory == nullptr) return Error{ErrorCode::internal, "not enough memory for a LoRA adapter", "", 0};
  kernels::pack(type, std::as_bytes(std::span(values)).data(), rows, cols, 0, memory);
  return kernels::PackedMatrix{type, rows, cols, memory};
}

Result<std::unique_ptr<LoraAdapter>> LoraAdapter::load(const std::string& path, const Model& model) {
  auto read = read_lora_file(path, model.shape());
  if (!read) return read.error();
  const auto bad = [&](const std::string& what) { return Error{ErrorCode::bad_model_file, path + ": " + what, "", 0}; };
  if (read->empty()) return bad("the adapter is empty");
  auto adapter = std::make_unique<LoraAdapter>();
  for (const LoraMatrices& matrices : *read) {
    const auto place = model.find_tensor(matrices.tensor);
    if (!place)
      return Error{ErrorCode::unsupported_model,
                   fmt::format("{}: adapts {}, which is no matrix of this model's layers", path, matrices.tensor), "",
                   0};
    if (matrices.inputs != place->projection->inputs() || matrices.outputs != place->outputs)
      return bad(fmt::format("adapts {} as [{}, {}], but the model's is [{}, {}]", matrices.tensor, matrices.inputs,
                             matrices.outputs, place->projection->inputs(), place->outputs));
    auto down = adapter->pack(matrices.down, matrices.rank, matrices.inputs);
    if (!down) return down.error();
    auto up = adapter->pack(matrices.up, matrices.outputs, matrices.rank);
    if (!up) return up.error();
    adapter->parts_[place->projection].push_back({*down, *up, place->offset, matrices.scale});
  }
  return adapter;
}

std::span<const LoraPart> LoraAdapter::parts(const Projection& projection) const {
  const auto found = parts_.find(&projection);
  if (found == parts_.end()) return {};
  return found->second;
}

}  // namespace kvasir::engine
