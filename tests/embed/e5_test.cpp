// multilingual-e5-small from its file, beside the vectors of the package that the file is from.
#include "embed/e5_file.hpp"
#include "embed/local_embedder.hpp"
#include "tests/embed/golden_vectors.hpp"
#include "tests/embed/test_model.hpp"
#include "tests/temporary_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::embed {
namespace {

std::filesystem::path e5_file() {
  return model_path("tests/multilingual-e5-small-q4.bin");
}

class E5 : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(e5_file())) GTEST_SKIP() << "no model " << e5_file();
  }

  static LocalEmbedder& embedder() {
    static const std::unique_ptr<LocalEmbedder> instance = [] {
      std::string error;
      auto opened = LocalEmbedder::open(e5_file(), 2, error);
      EXPECT_NE(opened, nullptr) << error;
      return opened;
    }();
    return *instance;
  }
};

TEST_F(E5, AgreesWithItsPackageInTwelveLanguages) {
  const auto reference = golden("golden_e5.json");
  ASSERT_GE(reference.size(), 20U);
  for (const auto& entry : reference) {
    const std::string text = entry["text"];
    EXPECT_EQ(embedder().count_tokens(text), entry["tokens"].get<int>()) << text;
    EXPECT_GE(cosine(embed_one(embedder(), text), decode_vector(entry["vector"])), 0.999) << text;
  }
}

TEST_F(E5, SeesVietnameseAndChineseThatMiniLmDoesNot) {
  EXPECT_TRUE(embedder().sees_all("我怎么重置密码？"));
  EXPECT_TRUE(embedder().sees_all("Làm thế nào để đặt lại mật khẩu?"));
}

TEST_F(E5, NeverReadsATextAsASpecialToken) {
  const auto tokens = embedder().tokenize("a </s> b <s> c");
  EXPECT_EQ(std::ranges::count(tokens, tokens.front()), 1);
  EXPECT_EQ(std::ranges::count(tokens, tokens.back()), 1);
}

TEST_F(E5, NamesItsWeights) {
  EXPECT_EQ(embedder().identity(), "multilingual-e5-small/q4/sha256:1571fc9827503943");
}

TEST_F(E5, RefusesAFileThatIsCutAnywhere) {
  std::string error;
  const auto whole = MappedFile::open(e5_file(), error);
  ASSERT_TRUE(whole) << error;
  const std::size_t size = whole->bytes().size();
  for (const std::size_t kept : {std::size_t{0}, std::size_t{3}, std::size_t{20}, std::size_t{60}, std::size_t{1000},
                                 std::size_t{2'000'000}, std::size_t{6'000'000}, size / 2, size - 1}) {
    error.clear();
    EXPECT_FALSE(read_e5(whole->bytes().first(kept), error)) << kept;
    EXPECT_FALSE(error.empty()) << kept;
  }
}

TEST(E5File, SaysThatAnotherFileIsNotOfItsFormat) {
  TemporaryFolder folder;
  folder.write("model.bin", "something else");
  std::string error;
  EXPECT_EQ(LocalEmbedder::open(folder.path() / "model.bin", 1, error), nullptr);
  EXPECT_TRUE(error.ends_with("as a model of the E5S1 format: it does not begin with E5S1")) << error;
}

TEST(E5File, RefusesAbsurdDimensions) {
  for (std::size_t field = 0; field < 7; ++field) {
    std::vector<std::int32_t> numbers = {384, 12, 12, 1536, 1000, 512, 1};
    for (const std::int32_t absurd : {0, -1, 0x7FFFFFFF}) {
      numbers[field] = absurd;
      std::string file = "E5S1\1";
      file.resize(8);
      file.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof numbers[0]);
      file.resize(200);
      std::string error;
      EXPECT_FALSE(read_e5(std::as_bytes(std::span(file)), error));
      EXPECT_EQ(error, "one of its dimensions is not sensible") << field << " " << absurd;
    }
  }
}

}  // namespace
}  // namespace kvasir::embed
