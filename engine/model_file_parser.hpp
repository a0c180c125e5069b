// The bytes of a GGUF v2/v3 file to metadata and tensors. Every count, length, offset and name is checked against the
// bytes that are there, before anything is allocated for it; all metadata together takes 64 MiB at most. (Format: ggml
// project, docs/gguf.md)
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace kvasir::engine {

struct ModelFileContent {
  std::map<std::string, ModelFile::Value, std::less<>> metadata;
  std::map<std::string, Tensor, std::less<>> tensors;  // their data points into `bytes`
};

// Errors: bad_model_file; unsupported_model for a tensor type of unknown size. Messages do not name the file.
Result<ModelFileContent> parse_model_file(std::span<const std::byte> bytes);

}  // namespace kvasir::engine
