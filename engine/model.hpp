// The weights of a decoder, packed for the kernels, and what is needed to run them.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/tokenizer.hpp"
#include "kernels/kernels.hpp"
#include "kernels/weight_arena.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace kvasir::engine {

struct ModelShape {
  int layers = 0;
  int hidden = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int context = 0;  // tokens the model was trained for
  float norm_eps = 0;
  float rope_base = 0;
  kernels::AttentionShape attention;

  int query_width() const { return attention.heads * attention.head_dim; }
  int kv_width() const { return attention.kv_heads * attention.head_dim; }
};

// What the file's metadata say, checked. The vocabulary is read with the weights.
Result<ModelShape> read_shape(const ModelFile& file);

// y = W x, where W may be several stored matrices stacked (QKV, gate + up), so that one pass reads them all. Parts of
// different types stay apart.
class Projection {
 public:
  struct Part {
    kernels::PackedMatrix matrix;
    int offset = 0;  // where its outputs begin
  };

  // All matrices must have the same number of inputs. The packed weights lie in `arena`.
  static Result<Projection> load(const ModelFile& file, kernels::WeightArena& arena,
                                 const std::vector<std::string>& names, int inputs, const std::vector<int>& outputs);

  int inputs() const { return inputs_; }
  int outputs() const { return outputs_; }
  const std::vector<Part>& parts() const { return parts_; }
  bool reads_quantized() const;

 private:
  int inputs_ = 0;
  int outputs_ = 0;
  std::vector<Part> parts_;
};

struct Layer {
  std::vector<float> attention_norm;
  Projection qkv;
  Projection attention_out;
  std::vector<float> feed_forward_norm;
  Projection gate_up;
  Projection down;
};

// Immutable after load; any thread.
class Model {
 public:
  // `shape` is what read_shape said, with a context that is no longer. Errors: unsupported_model (also for a tensor
  // that this version would not read, since leaving it out would change answers), bad_model_file. Keeps `file` open:
  // token embeddings are read from it, so the file must not be overwritten in place.
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const ModelFile> file, const ModelShape& shape);

  const ModelShape& shape() const { return shape_; }
  const std::vector<Layer>& layers() const { return layers_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const Projection& head() const { return head_; }
  kernels::RopeTable rope() const;
  // Writes the embedding of a token: `hidden` floats.
  void embed(TokenId token, float* out) const;

 private:
  Result<void> read_weights();
  Result<std::vector<float>> read_vector(const std::string& name, int size) const;
  void make_rope();

  std::shared_ptr<const ModelFile> file_;
  kernels::WeightArena arena_;
  ModelShape shape_;
  std::vector<Layer> layers_;
  std::vector<float> output_norm_;
  Projection head_;
  const Tensor* embeddings_ = nullptr;
  kernels::WeightType embedding_type_ = kernels::WeightType::f32;
  std::vector<float> rope_cos_;
  std::vector<float> rope_sin_;
};

}  // namespace kvasir::engine
