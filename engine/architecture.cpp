#include "engine/architecture.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace kvasir::engine {
namespace {

constexpr std::array kArchitectures{
    // Also Mistral, SmolLM and others of the same layers.
    Architecture{.name = "llama", .interleaved_rope = true, .window_period = 1},
    Architecture{.name = "qwen2"},
    Architecture{.name = "qwen3", .query_key_norms = true},
    // Gemma 3 report, arXiv 2503.19786, section 2.
    Architecture{.name = "gemma3",
                 .activation = Activation::gelu,
                 .scaled_embeddings = true,
                 .query_key_norms = true,
                 .post_norms = true,
                 .window_period = 6,
                 .window_rope_base = 10000},
    Architecture{.name = "phi3", .window_period = 1},
};

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  const auto* found = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                   [&](const Architecture& known) { return known.name == name; });
  return found == kArchitectures.end() ? nullptr : found;
}

std::string_view known_architectures() {
  return "llama, qwen2, qwen3, gemma3, phi3";
}

}  // namespace kvasir::engine
