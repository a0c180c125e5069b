// Random requests and what they need: prompts that share beginnings, adapters, seeds from the environment.
#pragma once

#include "engine/engine.hpp"
#include "tests/engine/tiny_model.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace kvasir::engine {

constexpr int kContext = 256;

inline unsigned from_environment(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(value, nullptr, 10));
}

class Random {
 public:
  explicit Random(unsigned seed) : bits_(seed) {}
  int between(int least, int most) { return std::uniform_int_distribution<int>(least, most)(bits_); }
  bool one_in(int n) { return between(1, n) == 1; }
  template <typename T>
  const T& any(const std::vector<T>& of) {
    return of[static_cast<std::size_t>(between(0, static_cast<int>(of.size()) - 1))];
  }
  std::vector<std::int32_t> tokens(int count, int kinds) {
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(between(32, 32 + kinds));
    return tokens;
  }

 private:
  std::mt19937 bits_;
};

// A file that goes with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / (std::to_string(::getpid()) + "-" + name)) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline void write_adapter(const std::string& path, const TinyShape& shape, Random& random) {
  constexpr int kRank = 4;
  const auto matrix = [&](int count) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count) * sizeof(float));
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      const float value = static_cast<float>(random.between(-300, 300)) * 1e-3F;
      std::memcpy(&bytes[i], &value, sizeof value);
    }
    return bytes;
  };
  GgufWriter gguf;
  gguf.text("general.architecture", "llama");
  gguf.text("general.type", "adapter");
  gguf.text("adapter.type", "lora");
  gguf.number("adapter.lora.alpha", 8);
  const auto hidden = static_cast<std::uint64_t>(shape.hidden);
  gguf.tensor("blk.1.attn_q.weight.lora_a", kernels::WeightType::f32, hidden, kRank, matrix(kRank * shape.hidden));
  gguf.tensor("blk.1.attn_q.weight.lora_b", kernels::WeightType::f32, kRank, hidden, matrix(kRank * shape.hidden));
  gguf.write(path);
}

// Prompts begin like one of these, cut anywhere.
struct Beginnings {
  std::vector<std::vector<std::int32_t>> all;
  explicit Beginnings(Random& random) {
    for (int i = 0; i < 4; ++i) all.push_back(random.tokens(180, 40));
    // Two that part ways inside a block.
    all.push_back(all.front());
    all.back().resize(71);
    for (const std::int32_t token : random.tokens(100, 40)) all.back().push_back(token);
  }
};

inline GenerateRequest random_request(Random& random, const Beginnings& beginnings) {
  GenerateRequest request;
  GenerateInput input;
  input.raw.emplace();
  const bool sliding = random.one_in(6);
  if (sliding) request.context_strategy = ContextStrategy::sliding;
  std::vector<std::int32_t>& prompt = input.raw->tokens;
  prompt = random.any(beginnings.all);
  prompt.resize(static_cast<std::size_t>(random.between(1, static_cast<int>(prompt.size()))));
  const int more = random.between(1, sliding ? 400 : 30);
  // Few kinds of tokens: what is said again can be looked up.
  for (const std::int32_t token : random.tokens(more, 6)) prompt.push_back(token);
  request.max_tokens = random.between(1, 40);
  if (random.one_in(3)) {
    const auto guess = random.any(beginnings.all);
    input.prediction.assign(guess.begin(), guess.begin() + 30);
  }
  request.input = std::make_shared<GenerateInput>(std::move(input));
  SamplingParams& sampling = request.sampling;
  sampling.temperature = random.one_in(2) ? 0 : 0.2F * static_cast<float>(random.between(1, 6));
  sampling.seed = static_cast<std::uint64_t>(random.between(0, 1000));
  sampling.top_logprobs = random.between(0, 5);
  if (random.one_in(3)) sampling.top_k = random.between(1, 40);
  if (random.one_in(3)) sampling.top_p = 0.8F;
  if (random.one_in(4)) sampling.min_p = 0.05F;
  if (random.one_in(4)) sampling.repetition_penalty = 1.1F;
  if (random.one_in(4)) sampling.frequency_penalty = 0.3F;
  if (random.one_in(3)) sampling.logit_bias = {{258, -100.0F}};
  if (random.one_in(3)) request.lora = {{random.one_in(2) ? "a" : "b", 1}};
  if (random.one_in(8)) request.lora = {{"a", 0.5F}, {"b", 1}};
  request.cache_namespace = random.one_in(4) ? "other" : "";
  request.priority = random.between(-1, 1);
  if (random.one_in(10)) request.pin = std::chrono::seconds(300);
  request.prompt_cache = !random.one_in(10);
  return request;
}

}  // namespace kvasir::engine
