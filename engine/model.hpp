// The weights of a decoder, packed for the kernels, and what is needed to run them.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/model_shape.hpp"
#include "engine/projection.hpp"
#include "engine/rope.hpp"
#include "engine/tokenizer.hpp"
#include "kernels/weight_arena.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

class WeightReader;

// Vectors that a family lacks are empty.
struct Layer {
  std::vector<float> attention_norm;
  Projection qkv;
  std::vector<float> query_norm;  // [head_dim]
  std::vector<float> key_norm;
  Projection attention_out;
  std::vector<float> attention_post_norm;
  std::vector<float> feed_forward_norm;
  Projection gate_up;
  Projection down;
  std::vector<float> feed_forward_post_norm;
  kernels::AttentionShape attention;
  const RotationTables* rope = nullptr;
};

// Immutable after load; any thread.
class Model {
 public:
  // `shape` is what read_shape said, with a context that is no longer. Errors: unsupported_model (also for a tensor
  // that this version would not read, since leaving it out would change answers), bad_model_file. Keeps `file` open:
  // token embeddings are read from it, so the file must not be overwritten in place.
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const ModelFile> file, const ModelShape& shape);

  Model() = default;
  Model(const Model&) = delete;  // layers point at the tables
  Model& operator=(const Model&) = delete;

  const ModelShape& shape() const { return shape_; }
  const std::vector<Layer>& layers() const { return layers_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const Projection& head() const { return head_; }
  // A stacked tensor's place among the layers' projections; nothing if they have no such tensor.
  struct Place {
    const Projection* projection;
    int offset;  // of its outputs
    int outputs;
  };
  std::optional<Place> find_tensor(std::string_view name) const;
  // Writes the embedding of a token: `hidden` floats.
  void embed(TokenId token, float* out) const;

 private:
  Result<void> read_weights();
  Result<void> make_rope();
  Layer read_layer(WeightReader& reader, int index) const;

  std::shared_ptr<const ModelFile> file_;
  kernels::WeightArena arena_;
  ModelShape shape_;
  std::vector<Layer> layers_;
  std::vector<float> output_norm_;
  Projection head_;
  const Tensor* embeddings_ = nullptr;
  float embedding_scale_ = 1;
  RotationTables rope_;
  RotationTables window_rope_;  // of layers with a window, if they have their own
};

}  // namespace kvasir::engine
