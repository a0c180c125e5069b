#include "engine/rope.hpp"

#include "engine/model_metadata.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

namespace kvasir::engine {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// Divisors of the frequencies, from a tensor of floats. Empty: there is no such tensor.
Result<std::vector<double>> read_factors(const ModelFile& file, const std::string& name, std::size_t size) {
  const Tensor* tensor = file.tensor(name);
  std::vector<double> factors;
  if (tensor == nullptr) return factors;
  if (tensor->type != static_cast<std::uint32_t>(kernels::WeightType::f32) || tensor->elements() != size)
    return bad_model(file, "tensor " + name + " has to hold " + std::to_string(size) + " F32 values");
  std::vector<float> values(size);
  kernels::dequantize_row(kernels::WeightType::f32, tensor->data.data(), static_cast<int>(size), values.data());
  for (const float value : values) {
    if (!(value > 0) || !std::isfinite(value)) return bad_model(file, "tensor " + name + " has a factor out of range");
    factors.push_back(value);
  }
  return factors;
}

// The dimension pair that turns `turns` times over the original context (YaRN, section 3.2).
double pair_of_turns(double turns, int rotated, double base, double original) {
  return rotated * std::log(original / (turns * kTwoPi)) / (2 * std::log(base));
}

// Slow pairs are interpolated, fast ones are left; a ramp between.
void stretch_by_yarn(RopeFrequencies& rope, int rotated, double base, double factor, double original) {
  constexpr double fast = 32;
  constexpr double slow = 1;
  const double low = std::max(0.0, std::floor(pair_of_turns(fast, rotated, base, original)));
  const double high = std::min(rotated - 1.0, std::ceil(pair_of_turns(slow, rotated, base, original)));
  for (std::size_t i = 0; i < rope.per_position.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    rope.per_position[i] *= ramp / factor + (1 - ramp);
  }
  rope.magnitude *= 1 + 0.1 * std::log(factor);
}

}  // namespace

Result<RopeFrequencies> read_rope(const ModelFile& file, const ModelShape& shape, bool windowed) {
  const Architecture& architecture = *shape.architecture;
  ModelMetadata metadata(file, std::string(architecture.name));
  const int rotated = metadata.count("rope.dimension_count", shape.attention.head_dim, shape.attention.head_dim);
  const double file_base = metadata.positive("rope.freq_base", 1e12, 10000.0);
  const bool own_base = windowed && architecture.window_rope_base > 0;
  const double base = own_base ? architecture.window_rope_base : file_base;
  const double factor = metadata.positive("rope.scaling.factor", 1e6, metadata.positive("rope.scale_linear", 1e6, 1.0));
  const double attention_factor = metadata.positive("rope.scaling.attn_factor", 1e3, 1.0);
  const int original = metadata.count("rope.scaling.original_context_length", 1 << 24, shape.trained_context);
  if (metadata.error()) return *metadata.error();
  if (rotated % 2 != 0 || base <= 1) return bad_model(file, "the rotary embedding's numbers are out of range");

  RopeFrequencies rope;
  for (int i = 0; i < rotated / 2; ++i) rope.per_position.push_back(std::pow(base, -2.0 * i / rotated));
  if (own_base) return rope;  // such layers see no farther than they were trained for
  const std::string* named = metadata.text("rope.scaling.type");
  const std::string type = named != nullptr ? *named : factor != 1 ? "linear" : "none";
  rope.magnitude = attention_factor;
  if (type == "yarn")
    stretch_by_yarn(rope, rotated, base, factor, original);
  else if (type == "linear")
    for (double& frequency : rope.per_position) frequency /= factor;
  else if (type != "none" && type != "longrope")
    return unsupported_model(file, "rotary embeddings scaled by '" + type + "' are not known to this version");

  const char* variant = shape.context > original ? "rope_factors_long.weight" : "rope_factors_short.weight";
  for (const char* name : {"rope_freqs.weight", variant}) {
    const auto factors = read_factors(file, name, rope.per_position.size());
    if (!factors) return factors.error();
    for (std::size_t i = 0; i < factors->size(); ++i) rope.per_position[i] /= (*factors)[i];
  }
  return rope;
}

RotationTables::RotationTables(const RopeFrequencies& frequencies, int context, bool interleaved)
    : rotated_dims_(static_cast<int>(frequencies.per_position.size()) * 2),
      magnitude_(static_cast<float>(frequencies.magnitude)),
      interleaved_(interleaved) {
  const std::size_t half = frequencies.per_position.size();
  cos_.resize(static_cast<std::size_t>(context) * half);
  sin_.resize(cos_.size());
  for (std::size_t i = 0; i < half; ++i)
    for (std::size_t p = 0; p < static_cast<std::size_t>(context); ++p) {
      const double angle = static_cast<double>(p) * frequencies.per_position[i];
      cos_[p * half + i] = static_cast<float>(std::cos(angle));
      sin_[p * half + i] = static_cast<float>(std::sin(angle));
    }
}

void RotationTables::rotate(const kernels::Kernels& kernels, float* x, int heads, int head_dim, int position) const {
  kernels.rope(table(), x, heads, head_dim, position);
  if (magnitude_ == 1) return;
  for (int h = 0; h < heads; ++h)
    for (int d = 0; d < rotated_dims_; ++d) x[h * head_dim + d] *= magnitude_;
}

kernels::RopeTable RotationTables::table() const {
  return {cos_.data(), sin_.data(), rotated_dims_, interleaved_};
}

}  // namespace kvasir::engine
