// Reader of safetensors files (https://github.com/huggingface/safetensors, "Format"): 8 bytes little-endian header
// length, a JSON object of tensors, then the tensors' bytes without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::embed {

// A file mapped read-only, unmapped by the destructor.
class MappedFile {
 public:
  static std::optional<MappedFile> open(const std::filesystem::path& path, std::string& error);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

struct Tensor {
  std::string dtype;                 // "F32", "F16", … as the file says
  std::vector<std::int64_t> shape;   // row-major
  std::span<const std::byte> bytes;  // inside the mapping, of exactly shape × dtype; not necessarily aligned
};

// Nothing in the file is trusted: `open` refuses, with one sentence in `error`, any header whose length, JSON, dtypes,
// shapes or offsets do not describe the file exactly (no overlap, no gap). Immutable afterwards: any thread may read.
// The file must not be cut while it is mapped.
class SafeTensors {
 public:
  static std::optional<SafeTensors> open(const std::filesystem::path& path, std::string& error);

  // The tensor, or nullptr. Lives as long as this object.
  const Tensor* find(std::string_view name) const;
  std::size_t size() const { return tensors_.size(); }
  std::vector<std::string_view> names() const;
  // The whole file, for hashing.
  std::span<const std::byte> file_bytes() const { return file_.bytes(); }

 private:
  using Tensors = std::map<std::string, Tensor, std::less<>>;
  SafeTensors(MappedFile file, Tensors tensors) : file_(std::move(file)), tensors_(std::move(tensors)) {}

  MappedFile file_;
  Tensors tensors_;
};

}  // namespace kvasir::embed
