// What int8 and int4 KV cost: the distribution at the last positions of the golden prompts, against the one over f16
// KV.
#include "engine/kv_storage.hpp"
#include "tests/engine/golden.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

using kernels::KvType;

struct Distance {
  double kl = 0;  // summed over positions
  int same_best = 0;
  int positions = 0;
};

void compare(std::span<const float> want, std::span<const float> got, Distance& distance) {
  const auto best = [](std::span<const float> z) { return std::max_element(z.begin(), z.end()) - z.begin(); };
  const auto log_sum = [&](std::span<const float> z) {
    const double top = z[static_cast<std::size_t>(best(z))];
    double sum = 0;
    for (const float x : z) sum += std::exp(x - top);
    return top + std::log(sum);
  };
  const double want_sum = log_sum(want);
  const double got_sum = log_sum(got);
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double p = want[i] - want_sum;
    distance.kl += std::exp(p) * (p - (got[i] - got_sum));
  }
  distance.same_best += best(want) == best(got) ? 1 : 0;
  ++distance.positions;
}

// Logits of the last positions.
std::vector<float> last_logits(LoadedModel& loaded, std::span<const TokenId> tokens) {
  const Segment segment{tokens, 0, loaded.table, std::min(96, static_cast<int>(tokens.size()))};
  const auto logits = loaded.runner->run({&segment, 1});
  return {logits.begin(), logits.end()};
}

struct Expected {
  const char* name;
  const char* golden;
  const char* gguf;
  double int8_kl;  // bounds for the mean: a few times what was measured
  double int4_kl;
};

class KvTypeTest : public testing::TestWithParam<Expected> {};

TEST_P(KvTypeTest, ErrsLittleAgainstF16) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "minutes here; the kernel tests run the same code";
#endif
  const auto file = shared_data() / "engine_golden" / "real" / GetParam().golden;
  const std::string gguf = model_path(GetParam().gguf);
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no golden data at " << file;
  if (!std::filesystem::exists(gguf)) GTEST_SKIP() << "no model at " << gguf << "; deploy/fetch_models.sh brings it";
  const nlohmann::json golden = nlohmann::json::parse(std::ifstream(file));
  LoadedModel exact(gguf, 120);
  const auto vocabulary = static_cast<std::size_t>(exact.model->shape().vocabulary);
  for (const auto& [type, bound] :
       {std::pair{KvType::int8, GetParam().int8_kl}, std::pair{KvType::int4, GetParam().int4_kl}}) {
    LoadedModel loaded(gguf, 120, kernels::best(), type);
    Distance distance;
    for (const auto& [name, prompt] : golden.at("prompts").items()) {
      const auto tokens = prompt.at("tokens").get<std::vector<TokenId>>();
      const std::vector<float> want = last_logits(exact, tokens);
      const std::vector<float> got = last_logits(loaded, tokens);
      for (std::size_t at = 0; at < want.size(); at += vocabulary)
        compare(std::span(want).subspan(at, vocabulary), std::span(got).subspan(at, vocabulary), distance);
    }
    const double kl = distance.kl / distance.positions;
    const ModelShape& shape = exact.model->shape();
    std::printf("  %s %s: %zu bytes a token, mean KL %.3g, same best token %.2f %% of %d positions\n", GetParam().name,
                kernels::kKvTypeNames.at(static_cast<std::size_t>(type)).data(),
                KvStorage::bytes_per_block(type, shape.layers, shape.attention) / kernels::kKvBlock, kl,
                100.0 * distance.same_best / distance.positions, distance.positions);
    EXPECT_GT(kl, 0);
    EXPECT_LT(kl, bound);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, KvTypeTest,
                         testing::Values(Expected{"SmolLM2", "smollm2.json", kSmolLm2, 1e-3, 0.2},
                                         Expected{"Gemma3", "gemma3.json", kGemma3, 4e-3, 0.6}),
                         [](const auto& model) { return std::string(model.param.name); });

}  // namespace
}  // namespace kvasir::engine
