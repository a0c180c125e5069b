#include "embed/local_embedder.hpp"

#include "kernels/kernels.hpp"
#include "tests/embed/golden_vectors.hpp"
#include "tests/embed/test_model.hpp"
#include "tests/temporary_folder.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

namespace kvasir::embed {
namespace {

class MiniLm : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_minilm()) GTEST_SKIP() << "no model in " << minilm_folder();
  }

  // One embedder for all tests: opening reads 90 MB.
  static LocalEmbedder& embedder() {
    static const std::unique_ptr<LocalEmbedder> instance = open(2);
    return *instance;
  }

  static std::unique_ptr<LocalEmbedder> open(int threads) {
    std::string error;
    auto opened = LocalEmbedder::open(minilm_folder(), threads, error);
    EXPECT_NE(opened, nullptr) << error;
    return opened;
  }
};

const std::vector<std::string_view> kMixedTexts = {
    "How do I reset my password?",
    "",
    "Làm thế nào để đặt lại mật khẩu?",
    "如何重置我的密码？",
    "A somewhat longer English sentence that takes more than one tile of sixteen tokens to be written down, surely.",
    "x"};

TEST_F(MiniLm, AgreesWithTheReferenceInEnglishVietnameseAndChinese) {
  const auto reference = golden("golden_vectors.json");
  ASSERT_GE(reference["own"].size(), 40U);
  for (const auto& entry : reference["own"]) {
    const std::string text = entry["text"];
    EXPECT_GE(cosine(embed_one(embedder(), text), decode_vector(entry["vector"])), 0.999) << text;
  }
}

TEST_F(MiniLm, AgreesWithTheReferenceOnParagraphsAndQuestionsOfXquad) {
  const auto reference = golden("golden_vectors.json");
  for (const std::string language : {"en", "vi", "zh"}) {
    if (!std::filesystem::exists(xquad_file(language))) GTEST_SKIP() << "no " << xquad_file(language);
    const auto texts = xquad_texts(language);
    for (const auto& entry : reference["xquad"]) {
      if (entry["language"] != language) continue;
      const std::string& text = texts.at(entry["place"].get<std::size_t>());
      EXPECT_GE(cosine(embed_one(embedder(), text), decode_vector(entry["vector"])), 0.999) << text;
    }
  }
}

TEST_F(MiniLm, KeepsItsVectorsWithinAThousandthWithWeightsOfEightBits) {
  std::string error;
  const auto exact = LocalEmbedder::open(minilm_folder(), 2, error, Precision::f16);
  ASSERT_NE(exact, nullptr) << error;
  double least = 1;
  for (const std::string language : {"en", "vi", "zh"}) {
    if (!std::filesystem::exists(xquad_file(language))) GTEST_SKIP() << "no " << xquad_file(language);
    const auto texts = xquad_texts(language);
    for (std::size_t i = 0; i < texts.size(); i += 10) {
      least = std::min(least, cosine(embed_one(embedder(), texts[i]), embed_one(*exact, texts[i])));
    }
  }
  EXPECT_GE(least, 0.999);
  RecordProperty("least_cosine", std::to_string(least));
}

TEST_F(MiniLm, GivesATextTheSameBitsAloneAndAmongOthers) {
  std::vector<Vector> alone;
  for (const std::string_view text : kMixedTexts) alone.push_back(embed_one(embedder(), text));
  std::vector<std::string_view> texts;
  for (int i = 0; i < 8; ++i) texts.insert(texts.end(), kMixedTexts.begin(), kMixedTexts.end());
  int tokens = 0;
  for (const std::string_view text : texts) tokens += embedder().count_tokens(text);
  ASSERT_GT(tokens, BertEncoder::kMaxRows);
  const Vector together = embedder().embed(texts);
  ASSERT_EQ(together.size(), texts.size() * 384);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto row = together.begin() + static_cast<std::ptrdiff_t>(i * 384);
    EXPECT_EQ(Vector(row, row + 384), alone[i % alone.size()]) << "text " << i << ": " << texts[i];
  }
}

TEST_F(MiniLm, GivesTheSameBitsOnOneThreadAndOnTwo) {
  const auto single = open(1);
  EXPECT_EQ(single->embed(kMixedTexts), embedder().embed(kMixedTexts));
}

TEST_F(MiniLm, GivesTheSameBitsToCallersOnSeveralThreads) {
  const Vector expected = embedder().embed(kMixedTexts);
  std::vector<Vector> results(3);
  std::vector<std::thread> callers;
  for (Vector& result : results) callers.emplace_back([&] { result = embedder().embed(kMixedTexts); });
  for (std::thread& caller : callers) caller.join();
  for (const Vector& result : results) EXPECT_EQ(result, expected);
}

TEST_F(MiniLm, GivesUnitVectors) {
  EXPECT_EQ(embedder().dimension(), 384);
  for (const std::string_view text : kMixedTexts) {
    double squares = 0;
    for (const float value : embed_one(embedder(), text))
      squares += static_cast<double>(value) * static_cast<double>(value);
    EXPECT_NEAR(squares, 1.0, 1e-6) << text;
  }
}

TEST_F(MiniLm, CutsATextAtItsLimit) {
  std::string text;
  for (int i = 0; i < 254; ++i) text += "word ";
  EXPECT_EQ(embedder().count_tokens(text), 256);
  EXPECT_EQ(embedder().count_tokens(text + "more"), 256);
  EXPECT_EQ(embed_one(embedder(), text), embed_one(embedder(), text + "more words that are past the limit"));
}

TEST_F(MiniLm, SaysWhetherItSeesAllOfAText) {
  EXPECT_TRUE(embedder().sees_all("How do I reset my password?"));
  EXPECT_TRUE(embedder().sees_all("Làm thế nào để đặt lại mật khẩu?"));
  EXPECT_TRUE(embedder().sees_all(""));
}

TEST_F(MiniLm, DoesNotSeeCharactersThatItsVocabularyLacks) {
  EXPECT_FALSE(embedder().sees_all("我怎么重置密码？"));
  EXPECT_FALSE(embedder().sees_all("How do I write 吗?"));
}

TEST_F(MiniLm, DoesNotSeeWhatMayHaveBeenCut) {
  EXPECT_FALSE(embedder().sees_all(std::string(512, '?')));
  EXPECT_FALSE(embedder().sees_all(std::string(254, '?'))) << "it fills the limit";
  EXPECT_TRUE(embedder().sees_all(std::string(253, '?')));
}

TEST_F(MiniLm, GivesNothingForNoTexts) {
  EXPECT_TRUE(embedder().embed({}).empty());
}

TEST_F(MiniLm, NamesItsWeights) {
  EXPECT_EQ(embedder().identity(), "MiniLM-L6-H384-uncased/int8/sha256:53aa51172d142c89");
}

// A folder with a whole model in it, but for what the test replaces.
class BrokenModel : public MiniLm {
 protected:
  void SetUp() override {
    MiniLm::SetUp();
    if (IsSkipped()) return;
    for (const char* name : {"config.json", "vocab.txt", "model.safetensors"}) {
      std::filesystem::create_symlink(std::filesystem::canonical(minilm_folder() / name), folder_.path() / name);
    }
  }

  void replace(const std::string& name, std::string_view content) {
    std::filesystem::remove(folder_.path() / name);
    folder_.write(name, content);
  }

  // The error, with "…" for the folder.
  std::string refusal() {
    std::string error;
    EXPECT_EQ(LocalEmbedder::open(folder_.path(), 1, error), nullptr);
    const std::string folder = folder_.path().string();
    const std::size_t at = error.find(folder);
    return at == std::string::npos ? error : error.replace(at, folder.size(), "…");
  }

  TemporaryFolder folder_;
};

TEST_F(BrokenModel, SaysWhichFileIsMissing) {
  for (const std::string name : {"model.safetensors", "vocab.txt", "config.json"}) {
    std::filesystem::remove(folder_.path() / name);
    EXPECT_TRUE(refusal().starts_with("cannot open …/" + name)) << refusal();
  }
}

TEST_F(BrokenModel, RefusesAConfigurationThatTheWeightsDoNotFit) {
  auto config = nlohmann::json::parse(std::ifstream(minilm_folder() / "config.json"));
  config["num_hidden_layers"] = 7;
  replace("config.json", config.dump());
  EXPECT_EQ(refusal(),
            "cannot use …/model.safetensors: the weights do not fit config.json: tensor "
            "'encoder.layer.6.attention.self.query.weight' is missing");
  config["intermediate_size"] = 1'000'000;
  replace("config.json", config.dump());
  EXPECT_EQ(refusal(),
            "cannot use …/model.safetensors: the weights do not fit config.json: tensor "
            "'encoder.layer.0.intermediate.dense.weight' has another shape than config.json asks for");
  config["model_type"] = "gpt2";
  replace("config.json", config.dump());
  EXPECT_EQ(refusal(), "…/config.json describes a model that cannot be used: its model_type is not bert");
  replace("config.json", "{");
  EXPECT_EQ(refusal(), "…/config.json is not a JSON object");
}

TEST_F(BrokenModel, RefusesAVocabularyThatIsLargerThanTheModels) {
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int i = 0; i < 31'000; ++i) vocabulary += "piece" + std::to_string(i) + "\n";
  replace("vocab.txt", vocabulary);
  EXPECT_EQ(refusal(), "…/vocab.txt has more pieces than the model's vocab_size");
}

}  // namespace
}  // namespace kvasir::embed
