// Judges pairs of questions as the semantic tier does: how alike the embedder finds them, and which guard objects.
//
//   guard_judge EMBEDDER_FOLDER <pairs.jsonl >judged.jsonl
//
// A line has "a" and "b", and whatever else its reader wants back. Out comes the line with "cosine" (kept if it has
// one), "reason" (empty: no objection), "refused" (why_not_cacheable of b) and "seen" (false: the embedder does not see
// all of it).
#include "cache/cacheability.hpp"
#include "cache/guards.hpp"
#include "embed/local_embedder.hpp"

#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace {

using namespace kvasir;

constexpr int threads = 2;
constexpr std::size_t batch = 32;

void judge(nlohmann::json& pair) {
  const auto a = pair["a"].get<std::string>();
  const auto b = pair["b"].get<std::string>();
  const cache::GuardedQuestion asked(a);
  const cache::GuardedQuestion stored(b);
  pair["reason"] = cache::guard_objection(asked, stored, pair["cosine"].get<float>());
  pair["refused"] = cache::why_not_cacheable(b);
}

void measure(embed::Embedder& embedder, std::vector<nlohmann::json>& pairs) {
  std::vector<std::string> texts;
  for (const nlohmann::json& pair : pairs) {
    texts.push_back(pair["a"]);
    texts.push_back(pair["b"]);
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const std::vector<float> rows = embedder.embed(views);
  const auto dimension = static_cast<std::ptrdiff_t>(embedder.dimension());
  auto row = rows.begin();
  for (std::size_t i = 0; i < pairs.size(); ++i, row += 2 * dimension) {
    pairs[i]["cosine"] = std::inner_product(row, row + dimension, row + dimension, 0.0F);
    pairs[i]["seen"] = embedder.sees_all(texts[2 * i]) && embedder.sees_all(texts[2 * i + 1]);
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::string error;
  std::unique_ptr<embed::LocalEmbedder> embedder;
  if (count == 2) embedder = embed::LocalEmbedder::open(arguments[1], threads, error);
  if (!embedder) {
    std::cerr << "usage: guard_judge EMBEDDER_FOLDER <pairs.jsonl >judged.jsonl\n" << error << '\n';
    return 2;
  }
  std::string line;
  std::vector<nlohmann::json> waiting;
  const auto flush = [&] {
    measure(*embedder, waiting);
    for (nlohmann::json& pair : waiting) {
      judge(pair);
      std::cout << pair.dump() << '\n';
    }
    waiting.clear();
  };
  while (std::getline(std::cin, line)) {
    nlohmann::json pair = nlohmann::json::parse(line);
    if (pair.contains("cosine")) {
      judge(pair);
      std::cout << pair.dump() << '\n';
    } else {
      waiting.push_back(std::move(pair));
      if (waiting.size() == batch) flush();
    }
  }
  if (!waiting.empty()) flush();
}
