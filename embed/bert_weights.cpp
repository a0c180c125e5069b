#include "embed/bert_weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

namespace kvasir::embed {
namespace {

using kernels::WeightType;

constexpr std::size_t kBlock = kernels::kBlock;

// Rounds whole blocks of 32 to q8_0 as GGUF stores it: an f16 scale, then 32 signed bytes.
std::vector<std::byte> round_to_q8(std::span<const float> values) {
  std::vector<std::byte> stored(kernels::stored_bytes(WeightType::q8_0, 1, values.size()));
  std::byte* to = stored.data();
  for (; !values.empty(); values = values.subspan(kBlock)) {
    float largest = 0;
    for (const float value : values.first(kBlock)) largest = std::max(largest, std::fabs(value));
    const std::uint16_t bits = kernels::f32_to_f16(largest / 127.0F);
    const float scale = kernels::f16_to_f32(bits);
    std::memcpy(to, &bits, sizeof bits);
    to += sizeof bits;
    for (const float value : values.first(kBlock)) {
      const float quant = scale > 0 ? std::nearbyint(value / scale) : 0.0F;
      *to++ = static_cast<std::byte>(static_cast<std::int8_t>(std::clamp(quant, -127.0F, 127.0F)));
    }
  }
  return stored;
}

// Reads tensors one after the other and remembers the first failure, so that a caller checks once at the end.
class TensorReader {
 public:
  explicit TensorReader(const SafeTensors& file) : file_(file) {}

  const std::string& error() const { return error_; }

  // [rows, cols], or [cols] if rows is 0. Empty after a failure.
  std::vector<float> floats(const std::string& name, int rows, int cols) {
    const Tensor* tensor = find(name, rows, cols);
    if (tensor == nullptr) return {};
    const auto count = static_cast<std::size_t>(rows == 0 ? 1 : rows) * static_cast<std::size_t>(cols);
    std::vector<float> values(count);
    const WeightType type = tensor->dtype == "F32" ? WeightType::f32 : WeightType::f16;
    const std::size_t row_bytes = kernels::stored_bytes(type, 1, static_cast<std::size_t>(cols));
    for (std::size_t at = 0, row = 0; at < count; at += static_cast<std::size_t>(cols), ++row) {
      kernels::dequantize_row(type, tensor->bytes.data() + row * row_bytes, cols, values.data() + at);
    }
    for (const float value : values) {
      if (!std::isfinite(value)) {
        fail(name, "has a number that is not finite");
        break;
      }
    }
    return values;
  }

  // The same, checked to fit f16, as `type` (f16 or q8_0) is stored.
  std::vector<std::byte> stored(const std::string& name, int rows, int cols, WeightType type) {
    const std::vector<float> values = floats(name, rows, cols);
    std::vector<std::uint16_t> result(values.size());
    bool fits = true;
    for (std::size_t i = 0; i < values.size(); ++i) {
      result[i] = kernels::f32_to_f16(values[i]);
      fits = fits && (result[i] & 0x7c00) != 0x7c00;  // infinite in f16
    }
    if (!fits) {
      fail(name, "has a number that is too large for f16");
      return {};
    }
    if (type == WeightType::q8_0) return round_to_q8(values);
    const auto bytes = std::as_bytes(std::span(result));
    return {bytes.begin(), bytes.end()};
  }

 private:
  const Tensor* find(const std::string& name, int rows, int cols) {
    if (!error_.empty()) return nullptr;
    const Tensor* tensor = file_.find(name);
    if (tensor == nullptr) tensor = file_.find("bert." + name);
    if (tensor == nullptr) return fail(name, "is missing");
    if (tensor->dtype != "F32" && tensor->dtype != "F16") return fail(name, "is neither F32 nor F16");
    std::vector<std::int64_t> shape = {cols};
    if (rows != 0) shape.insert(shape.begin(), rows);
    if (tensor->shape != shape) return fail(name, "has another shape than config.json asks for");
    return tensor;
  }

  const Tensor* fail(const std::string& name, const std::string& reason) {
    if (error_.empty()) error_ = "tensor '" + name + "' " + reason;
    return nullptr;
  }

  const SafeTensors& file_;
  std::string error_;
};

LayerNorm read_norm(TensorReader& reader, const std::string& name, int hidden) {
  return {reader.floats(name + ".weight", 0, hidden), reader.floats(name + ".bias", 0, hidden)};
}

// The linears `names`, each [rows, cols], stacked as one. `rows` is a multiple of 16 if there are several.
Linear read_linear(TensorReader& reader, std::initializer_list<std::string> names, int rows, int cols,
                   Precision precision) {
  const bool whole_blocks = cols % kernels::kBlock == 0;
  const WeightType type = precision == Precision::int8 && whole_blocks ? WeightType::q8_0 : WeightType::f16;
  const int total = rows * static_cast<int>(names.size());
  Linear linear;
  int offset = 0;
  for (const std::string& name : names) {
    const std::vector<std::byte> weight = reader.stored(name + ".weight", rows, cols, type);
    if (weight.empty()) break;
    if (offset == 0) linear.packed = AlignedBuffer<std::byte>(kernels::packed_bytes(type, total, cols));
    kernels::pack(type, weight.data(), rows, cols, offset, linear.packed.data());
    const std::vector<float> bias = reader.floats(name + ".bias", 0, rows);
    linear.bias.insert(linear.bias.end(), bias.begin(), bias.end());
    offset += rows;
  }
  linear.weight = {type, total, cols, linear.packed.data()};
  return linear;
}

BertLayer read_layer(TensorReader& reader, const std::string& name, const BertConfig& config, Precision precision) {
  const std::string attention = name + ".attention.";
  return {
      .qkv = read_linear(reader, {attention + "self.query", attention + "self.key", attention + "self.value"},
                         config.hidden, config.hidden, precision),
      .attention_output = read_linear(reader, {attention + "output.dense"}, config.hidden, config.hidden, precision),
      .attention_norm = read_norm(reader, attention + "output.LayerNorm", config.hidden),
      .ffn_up = read_linear(reader, {name + ".intermediate.dense"}, config.ffn, config.hidden, precision),
      .ffn_down = read_linear(reader, {name + ".output.dense"}, config.hidden, config.ffn, precision),
      .ffn_norm = read_norm(reader, name + ".output.LayerNorm", config.hidden),
  };
}

// Texts are single segments: segment 0 is a constant that can be added once.
std::vector<float> read_positions(TensorReader& reader, const BertConfig& config) {
  std::vector<float> positions =
      reader.floats("embeddings.position_embeddings.weight", config.positions, config.hidden);
  const std::vector<float> segments =
      reader.floats("embeddings.token_type_embeddings.weight", config.segments, config.hidden);
  for (std::size_t i = 0; i < positions.size() && !segments.empty(); ++i) {
    positions[i] += segments[i % static_cast<std::size_t>(config.hidden)];
  }
  return positions;
}

}  // namespace

std::optional<BertWeights> load_bert_weights(const SafeTensors& file, const BertConfig& config, Precision precision,
                                             std::string& error) {
  TensorReader reader(file);
  BertWeights weights;
  weights.words =
      reader.stored("embeddings.word_embeddings.weight", config.vocabulary, config.hidden, weights.word_type);
  weights.positions = read_positions(reader, config);
  weights.embedding_norm = read_norm(reader, "embeddings.LayerNorm", config.hidden);
  for (int i = 0; i < config.layers && reader.error().empty(); ++i) {
    weights.layers.push_back(read_layer(reader, "encoder.layer." + std::to_string(i), config, precision));
  }
  if (!reader.error().empty()) {
    error = "the weights do not fit config.json: " + reader.error();
    return std::nullopt;
  }
  return weights;
}

}  // namespace kvasir::embed
