// What sets one family of decoders apart from another. Everything else about a model is in its file: sizes in the
// metadata, biases and fused matrices in the tensors that are there. A new family is a row of the table and a test.
#pragma once

#include <string_view>

namespace kvasir::engine {

enum class Activation { silu, gelu };

struct Architecture {
  std::string_view name;  // GGUF's general.architecture
  // RoPE turns pairs (2i, 2i + 1); else (i, i + half). GGUF stores llama's queries and keys permuted for it.
  bool interleaved_rope = false;
  Activation activation = Activation::silu;  // of the gate
  bool scaled_embeddings = false;            // by sqrt(hidden)
  bool query_key_norms = false;              // RMSNorm of each head before RoPE
  bool post_norms = false;                   // RMSNorm of what attention and feed-forward add
  // Layers with sliding-window attention, if the file names a window: all but each nth. 0: the family has none, 1: all.
  int window_period = 0;
  double window_rope_base = 0;  // of those layers; 0: the file's
};

// nullptr: unknown.
const Architecture* find_architecture(std::string_view name);
// "llama, qwen2, …"
std::string_view known_architectures();

}  // namespace kvasir::engine
