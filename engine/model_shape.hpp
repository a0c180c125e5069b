// The sizes of a decoder, as its file's metadata say.
#pragma once

#include "engine/architecture.hpp"
#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "kernels/kernels.hpp"

namespace kvasir::engine {

struct ModelShape {
  const Architecture* architecture = nullptr;
  int layers = 0;
  int hidden = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int trained_context = 0;  // tokens
  int context = 0;          // tokens of a sequence; at most the trained ones
  float norm_eps = 0;
  kernels::AttentionShape attention;  // without a window
  int window = 0;                     // keys that a layer with a window sees; 0: no layer has one
  int window_period = 0;              // all but each nth layer have it

  int query_width() const { return attention.heads * attention.head_dim; }
  int kv_width() const { return attention.kv_heads * attention.head_dim; }
  bool has_window(int layer) const { return window > 0 && (window_period == 1 || (layer + 1) % window_period != 0); }
};

// What the file's metadata say, checked. The vocabulary is read with the weights.
Result<ModelShape> read_shape(const ModelFile& file);

}  // namespace kvasir::engine
