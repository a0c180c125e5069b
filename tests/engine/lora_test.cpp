// Adapters: a row with one does not depend on its batch; both file forms mean the same; bad files are refused.
#include "engine/lora.hpp"

#include "engine/lora_file.hpp"
#include "tests/engine/golden.hpp"
#include "tests/engine/tiny_model.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kRank = 4;
constexpr int kHidden = 64;

std::vector<float> random_floats(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.2F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// A folder that goes with the object.
class Folder {
 public:
  Folder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("kvasir-lora-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path operator/(const char* name) const { return path_ / name; }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// An adapter for one matrix of the tiny model.
struct Adapter {
  std::string tensor = "blk.1.attn_q";
  std::string architecture = "llama";
  int inputs = kHidden;
  int outputs = kHidden;
  int up_rank = kRank;
  bool both = true;
  float alpha = 8;

  std::vector<float> down() const { return random_floats(static_cast<std::size_t>(kRank * inputs), 5); }
  std::vector<float> up() const { return random_floats(static_cast<std::size_t>(outputs * up_rank), 6); }

  std::string write(const Folder& folder) const {
    GgufWriter gguf;
    gguf.text("general.architecture", architecture);
    gguf.text("general.type", "adapter");
    gguf.text("adapter.type", "lora");
    gguf.number("adapter.lora.alpha", alpha);
    gguf.tensor(tensor + ".weight.lora_a", kernels::WeightType::f32, static_cast<std::uint64_t>(inputs), kRank,
                bytes_of(down()));
    if (both)
      gguf.tensor(tensor + ".weight.lora_b", kernels::WeightType::f32, static_cast<std::uint64_t>(up_rank),
                  static_cast<std::uint64_t>(outputs), bytes_of(up()));
    const auto path = folder / "adapter.gguf";
    gguf.write(path);
    return path.string();
  }
};

const std::vector<TokenId> kTokens{5, 70, 200, 31, 8, 90, 91, 92, 14, 3, 77, 41, 17, 250, 9, 60, 61, 62, 63};

// The same numbers as PEFT saves them: rows of queries with halves apart.
std::string write_peft(const Folder& folder, const Adapter& adapter, const json& more = json::object()) {
  const int head_dim = 16;
  const std::vector<float> up = adapter.up();
  std::vector<float> rows(up.size());
  for (int i = 0; i < adapter.outputs; ++i) {
    const int inside = i % head_dim;
    const int to = i - inside + inside % 2 * (head_dim / 2) + inside / 2;
    std::memcpy(&rows[static_cast<std::size_t>(to * kRank)], &up[static_cast<std::size_t>(i * kRank)],
                kRank * sizeof(float));
  }
  json config{{"peft_type", "LORA"}, {"r", kRank}, {"lora_alpha", adapter.alpha}, {"bias", "none"}};
  config.update(more);
  std::ofstream(folder / "adapter_config.json") << config;
  const auto down = bytes_of(adapter.down());
  const auto raised = bytes_of(rows);
  const std::string name = "base_model.model.model.layers.1.self_attn.q_proj";
  const json header{{name + ".lora_A.weight",
                     {{"dtype", "F32"}, {"shape", {kRank, adapter.inputs}}, {"data_offsets", {0, down.size()}}}},
                    {name + ".lora_B.weight",
                     {{"dtype", "F32"},
                      {"shape", {adapter.outputs, kRank}},
                      {"data_offsets", {down.size(), down.size() + raised.size()}}}}};
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::ofstream file(folder / "adapter_model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof size);
  file << text;
  file.write(reinterpret_cast<const char*>(down.data()), static_cast<std::streamsize>(down.size()));
  file.write(reinterpret_cast<const char*>(raised.data()), static_cast<std::streamsize>(raised.size()));
  return folder.path();
}

class Lora : public testing::Test {
 protected:
  std::vector<float> logits(const std::vector<LoraUse>& lora) {
    LoadedModel loaded(file_.path(), 16);
    return logits_of(loaded, lora);
  }
  static std::vector<float> logits_of(LoadedModel& loaded, const std::vector<LoraUse>& lora) {
    loaded.lora = lora;
    loaded.in_kv.clear();
    const auto last = loaded.last_logits(kTokens);
    return {last.begin(), last.end()};
  }
  std::string error_of(const Adapter& adapter) {
    const auto loaded = LoraAdapter::load(adapter.write(folder_), *model_.model);
    return loaded ? "no error" : loaded.error().message;
  }

  TinyModelFile file_;
  LoadedModel model_{file_.path(), 16};
  Folder folder_;
};

TEST_F(Lora, changes_answers_by_its_scale) {
  const auto adapter = LoraAdapter::load(Adapter{}.write(folder_), *model_.model);
  ASSERT_TRUE(adapter) << adapter.error().message;
  const auto plain = logits_of(model_, {});
  EXPECT_NE(logits_of(model_, {{adapter->get(), 1}}), plain);
  EXPECT_EQ(logits_of(model_, {{adapter->get(), 0}}), plain);
  EXPECT_NE(logits_of(model_, {{adapter->get(), 0.5F}}), logits_of(model_, {{adapter->get(), 1}}));
}

TEST_F(Lora, gives_a_row_the_same_bits_whoever_else_is_in_the_batch) {
  const auto adapter = LoraAdapter::load(Adapter{}.write(folder_), *model_.model);
  ASSERT_TRUE(adapter) << adapter.error().message;
  const std::vector<std::vector<LoraUse>> uses{{{adapter->get(), 1}}, {}, {{adapter->get(), -0.5F}}};
  std::vector<float> alone;
  for (const auto& use : uses) {
    const auto logits = logits_of(model_, use);
    alone.insert(alone.end(), logits.begin(), logits.end());
  }
  std::vector<Segment> segments;
  for (std::size_t i = 0; i < uses.size(); ++i)
    segments.push_back({kTokens, 0, std::span(model_.table).subspan(2 * i, 2), 1, uses[i]});
  const auto together = model_.runner->run(segments);
  ASSERT_EQ(together.size(), alone.size());
  EXPECT_EQ(0, std::memcmp(together.data(), alone.data(), alone.size() * sizeof(float)));
}

TEST_F(Lora, means_the_same_in_both_forms) {
  const auto gguf = LoraAdapter::load(Adapter{}.write(folder_), *model_.model);
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto peft = LoraAdapter::load(write_peft(folder_, {}), *model_.model);
  ASSERT_TRUE(peft) << peft.error().message;
  EXPECT_EQ(logits_of(model_, {{gguf->get(), 1}}), logits_of(model_, {{peft->get(), 1}}));
}

TEST_F(Lora, refuses_what_does_not_fit_the_model) {
  EXPECT_THAT(error_of({.architecture = "qwen2"}), HasSubstr("is an adapter for the architecture 'qwen2'"));
  EXPECT_THAT(error_of({.tensor = "blk.7.attn_q"}), HasSubstr("blk.7.attn_q, which is no matrix of this model"));
  EXPECT_THAT(error_of({.tensor = "output"}), HasSubstr("which is no matrix of this model's layers"));
  EXPECT_THAT(error_of({.outputs = 32}), HasSubstr("[64, 32], but the model's is [64, 64]"));
  EXPECT_THAT(error_of({.inputs = 32}), HasSubstr("[32, 64], but the model's is [64, 64]"));
  EXPECT_THAT(error_of({.up_rank = 8}), HasSubstr("differ in rank"));
  EXPECT_THAT(error_of({.both = false}), HasSubstr("lacks its lora_b"));
  EXPECT_THAT(LoraAdapter::load(file_.path(), *model_.model).error().message, HasSubstr("is no LoRA adapter"));
}

TEST_F(Lora, refuses_a_path_that_no_file_can_have) {
  const auto error = [&](const std::string& ending) {
    const auto loaded = LoraAdapter::load((folder_ / std::string(300, 'x').c_str()).string() + ending, *model_.model);
    return loaded ? std::string("no error") : loaded.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("xxx: cannot be opened: File name too long"));
  EXPECT_THAT(error(".safetensors"), HasSubstr("adapter_config.json: is missing"));
}

TEST_F(Lora, refuses_what_it_does_not_know_of_peft) {
  const auto error = [&](const json& more) {
    const auto loaded = LoraAdapter::load(write_peft(folder_, {}, more), *model_.model);
    return loaded ? std::string("no error") : loaded.error().message;
  };
  EXPECT_EQ(error({{"use_dora", false}, {"rank_pattern", json::object()}, {"modules_to_save", nullptr}}), "no error");
  EXPECT_THAT(error({{"use_dora", true}}), HasSubstr("'use_dora' is not known"));
  EXPECT_THAT(error({{"bias", "all"}}), HasSubstr("'bias' is not known"));
  EXPECT_THAT(error({{"r", 0}}), HasSubstr("'r' is out of range"));
  EXPECT_THAT(error({{"lora_alpha", "8"}}), HasSubstr("'lora_alpha' is missing"));
  EXPECT_THAT(error({{"lora_alpha", 1e300}}), HasSubstr("'lora_alpha' is out of range"));
  std::ofstream(folder_ / "adapter_config.json") << "{";
  EXPECT_THAT(LoraAdapter::load(folder_.path(), *model_.model).error().message, HasSubstr("no JSON object"));
}

}  // namespace
}  // namespace kvasir::engine
