// A GGUF v2/v3 file, mapped into memory and checked: nothing in it is trusted.
// (Format: ggml project, docs/gguf.md)
#pragma once

#include "engine/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kvasir::engine {

// ggml's tensor type numbers; only those that `kernels::WeightType` has can be computed with.
struct Tensor {
  std::string name;
  std::uint32_t type = 0;
  std::array<std::uint64_t, 4> shape{1, 1, 1, 1};  // ggml order: shape[0] is the contiguous dimension (inputs)
  std::span<const std::byte> data;                 // valid while the ModelFile lives

  std::uint64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
};

// Immutable after open; safe to read from any thread.
class ModelFile {
 public:
  using Value = std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<std::string>,
                             std::vector<std::int64_t>, std::vector<double>>;

  // Error: bad_model_file with one sentence ("model.gguf: …").
  static Result<ModelFile> open(const std::string& path);

  ModelFile(ModelFile&&) noexcept;
  ModelFile& operator=(ModelFile&&) noexcept;
  ~ModelFile();

  const std::string& path() const;
  std::span<const std::byte> bytes() const;  // of the whole file
  // Metadata by full key ("llama.block_count"). Numbers of any width convert; a value of another kind is nullopt.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  const std::string* text(std::string_view key) const;
  const std::vector<std::string>* texts(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;

  const Tensor* tensor(std::string_view name) const;
  const std::map<std::string, Tensor, std::less<>>& tensors() const;

 private:
  struct Impl;
  explicit ModelFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::engine
