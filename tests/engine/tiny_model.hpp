// A llama with random weights and a byte vocabulary, written as GGUF: engine tests need no download.
#pragma once

#include "kernels/kernels.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace kvasir::engine {

class GgufWriter {
 public:
  void text(std::string_view key, std::string_view value) {
    header(key, 8);
    string(meta_, value);
  }
  void integer(std::string_view key, std::uint32_t value) {
    header(key, 4);
    put(meta_, value);
  }
  void number(std::string_view key, float value) {
    header(key, 6);
    put(meta_, value);
  }
  void boolean(std::string_view key, bool value) {
    header(key, 7);
    put(meta_, static_cast<std::uint8_t>(value));
  }
  void numbers(std::string_view key, const std::vector<float>& values) {
    header(key, 9);
    put(meta_, std::uint32_t{6});
    put(meta_, static_cast<std::uint64_t>(values.size()));
    for (const float value : values) put(meta_, value);
  }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    header(key, 9);
    put(meta_, std::uint32_t{8});
    put(meta_, static_cast<std::uint64_t>(values.size()));
    for (const std::string& value : values) string(meta_, value);
  }
  void integers(std::string_view key, const std::vector<std::int32_t>& values) {
    header(key, 9);
    put(meta_, std::uint32_t{5});
    put(meta_, static_cast<std::uint64_t>(values.size()));
    for (const std::int32_t value : values) put(meta_, value);
  }
  void tensor(std::string_view name, kernels::WeightType type, std::uint64_t inputs, std::uint64_t outputs,
              const std::vector<std::byte>& data) {
    string(infos_, name);
    put(infos_, std::uint32_t{2});
    put(infos_, inputs);
    put(infos_, outputs);
    put(infos_, static_cast<std::uint32_t>(type));
    put(infos_, static_cast<std::uint64_t>(data_.size()));
    data_.append(reinterpret_cast<const char*>(data.data()), data.size());
    data_.resize((data_.size() + 31) / 32 * 32);
    ++tensors_;
  }
  void write(const std::filesystem::path& path) const {
    std::string out = "GGUF";
    put(out, std::uint32_t{3});
    put(out, tensors_);
    put(out, keys_);
    out += meta_ + infos_;
    out.resize((out.size() + 31) / 32 * 32);
    out += data_;
    std::ofstream(path, std::ios::binary) << out;
  }

 private:
  template <typename T>
  static void put(std::string& to, T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    to.append(bytes, sizeof value);
  }
  static void string(std::string& to, std::string_view value) {
    put(to, static_cast<std::uint64_t>(value.size()));
    to += value;
  }
  void header(std::string_view key, std::uint32_t type) {
    string(meta_, key);
    put(meta_, type);
    ++keys_;
  }

  std::string meta_, infos_, data_;
  std::uint64_t keys_ = 0;
  std::uint64_t tensors_ = 0;
};

struct TinyShape {
  int layers = 3;
  int hidden = 64;
  int heads = 4;
  int kv_heads = 2;
  int feed_forward = 128;
  int context = 4096;
  int padding = 0;  // rows of the embeddings beyond the tokens
  kernels::WeightType matrices = kernels::WeightType::q4_1;
};

// Random rows in the stored form of `type`, with values of standard deviation about `scale`.
inline std::vector<std::byte> random_matrix(kernels::WeightType type, int inputs, int outputs, float scale,
                                            std::mt19937& random) {
  using kernels::WeightType;
  std::vector<std::byte> data(
      kernels::stored_bytes(type, static_cast<std::size_t>(outputs), static_cast<std::size_t>(inputs)));
  std::normal_distribution<float> normal(0, scale);
  const auto half = [&](std::size_t at, float value) {
    const std::uint16_t bits = kernels::f32_to_f16(value);
    std::memcpy(&data[at], &bits, sizeof bits);
  };
  switch (type) {
    case WeightType::f32:
      for (std::size_t i = 0; i < data.size(); i += 4) {
        const float value = normal(random);
        std::memcpy(&data[i], &value, sizeof value);
      }
      break;
    case WeightType::f16:
      for (std::size_t i = 0; i < data.size(); i += 2) half(i, normal(random));
      break;
    default: {
      const std::size_t block = type == WeightType::q4_1 ? 20 : 34;
      for (auto& byte : data) byte = static_cast<std::byte>(random() & 0xFFU);
      for (std::size_t i = 0; i < data.size(); i += block) {
        half(i, scale / (type == WeightType::q4_1 ? 4.6F : 74.0F));
        if (type == WeightType::q4_1) half(i + 2, -scale * 7.5F / 4.6F);
      }
    }
  }
  return data;
}

// GPT-2's printable stand-ins for bytes, as UTF-8.
inline std::vector<std::string> byte_alphabet() {
  std::vector<std::string> alphabet;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const int code = printable ? byte : next++;
    std::string text;
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else {
      text += static_cast<char>(0xC0 | (code >> 6));
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
    alphabet.push_back(text);
  }
  return alphabet;
}

inline void write_tiny_model(const std::filesystem::path& path, const TinyShape& shape = {}, unsigned seed = 1) {
  std::mt19937 random(seed);
  GgufWriter gguf;
  gguf.text("general.architecture", "llama");
  gguf.integer("llama.block_count", static_cast<std::uint32_t>(shape.layers));
  gguf.integer("llama.embedding_length", static_cast<std::uint32_t>(shape.hidden));
  gguf.integer("llama.feed_forward_length", static_cast<std::uint32_t>(shape.feed_forward));
  gguf.integer("llama.context_length", static_cast<std::uint32_t>(shape.context));
  gguf.integer("llama.attention.head_count", static_cast<std::uint32_t>(shape.heads));
  gguf.integer("llama.attention.head_count_kv", static_cast<std::uint32_t>(shape.kv_heads));
  gguf.number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  gguf.number("llama.rope.freq_base", 10000.0F);
  std::vector<std::string> tokens = byte_alphabet();
  std::vector<std::int32_t> types(256, 1);
  tokens.insert(tokens.end(), {"th", "<|im_start|>", "<|im_end|>"});
  types.insert(types.end(), {1, 3, 3});
  gguf.text("tokenizer.ggml.model", "gpt2");
  gguf.text("tokenizer.ggml.pre", "smollm");
  gguf.texts("tokenizer.ggml.tokens", tokens);
  gguf.integers("tokenizer.ggml.token_type", types);
  gguf.texts("tokenizer.ggml.merges", {"t h"});
  gguf.integer("tokenizer.ggml.eos_token_id", 258);

  const auto matrix = [&](const std::string& name, int inputs, int outputs, float scale) {
    gguf.tensor(name, shape.matrices, static_cast<std::uint64_t>(inputs), static_cast<std::uint64_t>(outputs),
                random_matrix(shape.matrices, inputs, outputs, scale, random));
  };
  const auto norm = [&](const std::string& name) {
    std::vector<std::byte> ones(static_cast<std::size_t>(shape.hidden) * 4);
    for (std::size_t i = 0; i < ones.size(); i += 4) {
      const float one = 1.0F;
      std::memcpy(&ones[i], &one, 4);
    }
    gguf.tensor(name, kernels::WeightType::f32, static_cast<std::uint64_t>(shape.hidden), 1, ones);
  };
  const int head_dim = shape.hidden / shape.heads;
  const float narrow = 1.0F / std::sqrt(static_cast<float>(shape.hidden));
  for (int i = 0; i < shape.layers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    norm(prefix + "attn_norm.weight");
    matrix(prefix + "attn_q.weight", shape.hidden, shape.hidden, 2 * narrow);
    matrix(prefix + "attn_k.weight", shape.hidden, shape.kv_heads * head_dim, 2 * narrow);
    matrix(prefix + "attn_v.weight", shape.hidden, shape.kv_heads * head_dim, narrow);
    matrix(prefix + "attn_output.weight", shape.hidden, shape.hidden, narrow);
    norm(prefix + "ffn_norm.weight");
    matrix(prefix + "ffn_gate.weight", shape.hidden, shape.feed_forward, narrow);
    matrix(prefix + "ffn_up.weight", shape.hidden, shape.feed_forward, narrow);
    matrix(prefix + "ffn_down.weight", shape.feed_forward, shape.hidden, narrow);
  }
  norm("output_norm.weight");
  matrix("token_embd.weight", shape.hidden, static_cast<int>(tokens.size()) + shape.padding, 0.5F);
  gguf.write(path);
}

// A tiny model in a file that goes with the object.
class TinyModelFile {
 public:
  explicit TinyModelFile(const TinyShape& shape = {}, unsigned seed = 1) {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("kvasir-tiny-" + std::to_string(::getpid()) + "-" + std::to_string(count++) + ".gguf");
    write_tiny_model(path_, shape, seed);
  }
  ~TinyModelFile() { std::filesystem::remove(path_); }
  TinyModelFile(const TinyModelFile&) = delete;
  TinyModelFile& operator=(const TinyModelFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace kvasir::engine
