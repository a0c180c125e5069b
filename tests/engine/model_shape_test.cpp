// What a file's metadata say of the model's sizes, and what is refused before anything is computed with it.
#include "engine/model_shape.hpp"

#include "engine/rope.hpp"
#include "tests/engine/tiny_model.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using testing::HasSubstr;

struct Sizes {
  std::uint32_t hidden = 64;
  std::uint32_t heads = 4;
  std::uint32_t context = 4096;
  std::function<void(GgufWriter&)> more = [](GgufWriter&) {};
};

// The metadata alone.
Result<ModelFile> file_of(const Sizes& sizes) {
  GgufWriter gguf;
  gguf.text("general.architecture", "llama");
  gguf.integer("llama.block_count", 2);
  gguf.integer("llama.embedding_length", sizes.hidden);
  gguf.integer("llama.feed_forward_length", 128);
  gguf.integer("llama.context_length", sizes.context);
  gguf.integer("llama.attention.head_count", sizes.heads);
  gguf.number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  sizes.more(gguf);
  const auto path = std::filesystem::temp_directory_path() / ("kvasir-shape-" + std::to_string(::getpid()) + ".gguf");
  gguf.write(path);
  auto file = ModelFile::open(path.string());
  std::filesystem::remove(path);
  return file;
}

std::string error_of(const Sizes& sizes) {
  const auto file = file_of(sizes);
  if (!file) return file.error().message;
  const auto shape = read_shape(*file);
  return shape ? "none" : shape.error().message;
}

TEST(ModelShape, NeedsHeadsThatFitTheModelsWidth) {
  const auto key_length = [](GgufWriter& gguf) { gguf.integer("llama.attention.key_length", 16); };
  EXPECT_EQ(error_of({}), "none");
  EXPECT_THAT(error_of({.heads = 128}), HasSubstr("llama.attention.key_length is missing"));
  EXPECT_THAT(error_of({.heads = 128, .more = key_length}), HasSubstr("128 query heads are more than its 64"));
  EXPECT_THAT(error_of({.hidden = 32}), HasSubstr("head dimensions other than one multiple of 16"));
}

// How much memory there is for the KV says nothing about how the model was trained.
TEST(ModelShape, YarnGoesByTheContextThatTheModelWasTrainedFor) {
  const auto file = file_of({.more = [](GgufWriter& gguf) {
    gguf.text("llama.rope.scaling.type", "yarn");
    gguf.number("llama.rope.scaling.factor", 4);
  }});
  ASSERT_TRUE(file) << file.error().message;
  auto shape = read_shape(*file);
  ASSERT_TRUE(shape) << shape.error().message;
  const auto whole = read_rope(*file, *shape, false);
  shape->context = 64;
  const auto cut = read_rope(*file, *shape, false);
  ASSERT_TRUE(whole && cut);
  EXPECT_EQ(whole->per_position, cut->per_position);
}

}  // namespace
}  // namespace kvasir::engine
