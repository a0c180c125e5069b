// The calculator's numbers are the allocator's, to the byte.
#include "engine/kv_size.hpp"

#include "engine/engine.hpp"
#include "tests/engine/tiny_model.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

// A file that has nothing but the sizes of a model.
class Sizes {
 public:
  Sizes(int layers, int heads, int kv_heads, int head_dim) {
    GgufWriter gguf;
    gguf.text("general.architecture", "llama");
    const auto put = [&](const char* key, int value) {
      gguf.integer(std::string("llama.") + key, static_cast<std::uint32_t>(value));
    };
    put("block_count", layers);
    put("embedding_length", heads * head_dim);
    put("feed_forward_length", 4 * heads * head_dim);
    put("context_length", 131072);
    put("attention.head_count", heads);
    put("attention.head_count_kv", kv_heads);
    gguf.number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    path_ = std::filesystem::temp_directory_path() / ("kvasir-sizes-" + std::to_string(::getpid()) + ".gguf");
    gguf.write(path_);
  }
  ~Sizes() { std::filesystem::remove(path_); }
  ModelShape shape() const { return *read_shape(*ModelFile::open(path_.string())); }

 private:
  std::filesystem::path path_;
};

TEST(KvSize, CountsKvHeadsNotQueryHeads) {
  // Llama 3.1 70B: 80 layers, 8 KV heads of 128.
  const KvSize size = kv_size(Sizes(80, 64, 8, 128).shape(), kernels::KvType::f16, 8192, 10, 80ULL << 30);
  EXPECT_EQ(size.token, 327'680U);
  EXPECT_EQ(size.request, 327'680ULL * 8192);
  EXPECT_EQ(size.users, 327'680ULL * 8192 * 10);
  EXPECT_EQ(size.fitting, (80ULL << 30) / (327'680ULL * 8192));
}

TEST(KvSize, TakesWholeBlocksAndSaysSoOfSumsThatNoNumberHolds) {
  const ModelShape shape = Sizes(2, 4, 2, 64).shape();
  const KvSize size = kv_size(shape, kernels::KvType::int4, 17, 3, 0);
  EXPECT_EQ(size.blocks, 2U);
  EXPECT_EQ(size.request, 2 * size.block);
  EXPECT_EQ(size.fitting, 0U);
  EXPECT_EQ(kv_size(shape, kernels::KvType::f16, 1ULL << 60, 1ULL << 60, 1).users, ~0ULL);
}

TEST(KvSize, IsWhatTheEngineAllocatesToTheByte) {
  const TinyModelFile file;
  const ModelShape shape = *read_shape(*ModelFile::open(file.path()));
  for (const kernels::KvType type : {kernels::KvType::f16, kernels::KvType::int8, kernels::KvType::int4}) {
    const KvSize size = kv_size(shape, type, 1000, 7, 0);
    EngineSettings settings;
    settings.gguf = file.path();
    settings.threads = 1;
    settings.kv_type = type;
    settings.kv_memory = size.users;
    EXPECT_EQ((*Engine::load(settings))->stats().kv_blocks_total, 7 * size.blocks);
    settings.kv_memory = size.users - 1;
    EXPECT_EQ((*Engine::load(settings))->stats().kv_blocks_total, 7 * size.blocks - 1);
  }
}

}  // namespace
}  // namespace kvasir::engine
