#include "engine/lora_file.hpp"

#include "engine/model_metadata.hpp"
#include "engine/weight_reader.hpp"

#include <cmath>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::string_view kDown = ".weight.lora_a";
constexpr std::string_view kUp = ".weight.lora_b";
constexpr std::uint64_t kMostRank = 4096;
constexpr std::uint64_t kMostWidth = 1 << 20;

// A matrix of the file as floats; nothing if it is none that can be read.
std::optional<std::vector<float>> floats_of(const Tensor& tensor) {
  const auto type = weight_type(tensor);
  if (!type || tensor.shape[0] > kMostWidth || tensor.shape[1] > kMostWidth ||
      tensor.elements() != tensor.shape[0] * tensor.shape[1])
    return std::nullopt;
  std::vector<float> values(tensor.elements());
  const std::size_t row_bytes = kernels::stored_bytes(*type, 1, tensor.shape[0]);
  for (std::size_t row = 0; row < tensor.shape[1]; ++row)
    kernels::dequantize_row(*type, tensor.data.data() + row * row_bytes, static_cast<int>(tensor.shape[0]),
                            values.data() + row * tensor.shape[0]);
  return values;
}

}  // namespace

Result<std::vector<LoraMatrices>> read_lora_file(const std::string& path, const ModelShape& shape) {
  const std::filesystem::path given(path);
  std::error_code ignored;  // what cannot be looked at cannot be opened either, which says why
  const bool peft = std::filesystem::is_directory(given, ignored) || given.extension() == ".safetensors";
  return peft ? read_peft_lora(path, shape) : read_gguf_lora(path, shape);
}

Result<std::vector<LoraMatrices>> read_gguf_lora(const std::string& path, const ModelShape& shape) {
  const auto file = ModelFile::open(path);
  if (!file) return file.error();
  const std::string* kind = file->text("adapter.type");
  if (kind == nullptr || *kind != "lora") return bad_model(*file, "is no LoRA adapter (adapter.type is not 'lora')");
  const std::string* architecture = file->text("general.architecture");
  if (architecture == nullptr || *architecture != shape.architecture->name)
    return bad_model(*file, fmt::format("is an adapter for the architecture '{}', the model's is '{}'",
                                        architecture == nullptr ? "" : *architecture, shape.architecture->name));
  const auto alpha = file->number("adapter.lora.alpha");
  if (!alpha || !std::isfinite(static_cast<float>(*alpha)))
    return bad_model(*file, "adapter.lora.alpha is missing or out of range");

  std::vector<LoraMatrices> all;
  for (const auto& [name, down] : file->tensors()) {
    if (name.ends_with(kUp)) continue;  // comes with its lora_a
    if (!name.ends_with(kDown))
      return unsupported_model(*file, fmt::format("tensor {} is no part of a LoRA adapter", name));
    LoraMatrices matrices;
    matrices.tensor = name.substr(0, name.size() - kDown.size());
    const Tensor* up = file->tensor(fmt::format("{}{}", matrices.tensor, kUp));
    if (up == nullptr) return bad_model(*file, fmt::format("tensor {} lacks its lora_b", name));
    if (down.shape[1] != up->shape[0] || down.shape[1] > kMostRank)
      return bad_model(*file, fmt::format("the two halves of {} differ in rank, or it is absurd", matrices.tensor));
    auto a = floats_of(down);
    auto b = floats_of(*up);
    if (!a || !b) return bad_model(*file, fmt::format("the matrices of {} cannot be read", matrices.tensor));
    matrices.rank = static_cast<int>(down.shape[1]);
    matrices.inputs = static_cast<int>(down.shape[0]);
    matrices.outputs = static_cast<int>(up->shape[1]);
    matrices.down = std::move(*a);
    matrices.up = std::move(*b);
    matrices.scale = static_cast<float>(*alpha / matrices.rank);
    all.push_back(std::move(matrices));
  }
  for (const auto& [name, tensor] : file->tensors())
    if (name.ends_with(kUp) && file->tensor(fmt::format("{}a", name.substr(0, name.size() - 1))) == nullptr)
      return bad_model(*file, fmt::format("tensor {} lacks its lora_a", name));
  return all;
}

}  // namespace kvasir::engine
