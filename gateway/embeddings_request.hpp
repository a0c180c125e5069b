// OpenAI's embeddings request: JSON to plain values.
#pragma once

#include "gateway/api_error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kvasir::gateway {

struct EmbeddingsRequest {
  using Tokens = std::vector<std::int32_t>;
  using Input = std::variant<std::string, Tokens>;  // neither is empty

  std::string model;
  std::vector<Input> inputs;  // from 1 to 2048
  bool base64 = false;        // encoding_format
  std::optional<int> dimensions;
};

// Errors: 400 with the field's name in `param`. `body` stays whole, for an upstream. Any thread.
Result<EmbeddingsRequest> parse_embeddings_request(std::string& body);

}  // namespace kvasir::gateway
