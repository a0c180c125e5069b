#include "gateway/tune.hpp"

#include "cache/cacheability.hpp"
#include "cache/guards.hpp"
#include "cache/threshold_curve.hpp"
#include "embed/local_embedder.hpp"
#include "gateway/config.hpp"
#include "gateway/tune_chart.hpp"
#include "rag/content_id.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestLine = std::size_t{1} << 20;
constexpr std::size_t kBatch = 64;  // pairs

struct Wanted {
  std::string pairs;
  std::string config;
  std::string svg;
  std::string json;
  std::optional<double> max_error_rate;
};

struct Pair {
  std::string a;
  std::string b;
  std::string category;
  std::string_view reason;  // why it is not admitted
  cache::JudgedPair judged;
  bool chooses = false;  // it is of the half that the threshold is chosen on; the other half judges the choice
};

// Thrown by what reads; its text is for the user.
struct BadInput {
  std::string what;
};

bool read_option(std::string_view name, std::string_view value, Wanted& wanted) {
  if (name == "--pairs") wanted.pairs = value;
  if (name == "--config") wanted.config = value;
  if (name == "--svg") wanted.svg = value;
  if (name == "--json") wanted.json = value;
  if (name == "--max-error-rate") {
    double rate = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), rate);
    if (error != std::errc() || end != value.data() + value.size() || !(rate > 0 && rate < 1)) return false;
    wanted.max_error_rate = rate;
  }
  return name == "--pairs" || name == "--config" || name == "--svg" || name == "--json" || name == "--max-error-rate";
}

std::string text_in(const json& line, const char* key, const std::string& where) {
  if (!line.contains(key) || !line[key].is_string())
    throw BadInput{fmt::format("{}: '{}' must be there, and a string", where, key)};
  return line[key].get<std::string>();
}

Pair read_pair(const std::string& text, const std::string& where) {
  if (text.size() > kLongestLine) throw BadInput{where + ": the line is longer than 1 MiB"};
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object()) throw BadInput{where + ": this is no JSON object (in UTF-8)"};
  Pair pair;
  pair.a = text_in(line, "a", where);
  pair.b = text_in(line, "b", where);
  if (!line.contains("same") || !line["same"].is_boolean())
    throw BadInput{where + ": 'same' must be there, true or false"};
  pair.judged.same = line["same"].get<bool>();
  if (line.contains("category")) pair.category = text_in(line, "category", where);
  // It stands in a comment of the YAML that is printed.
  std::ranges::replace_if(
      pair.category, [](unsigned char c) { return c < ' '; }, ' ');
  // All pairs of one question are in one half.
  pair.chooses = rag::ContentId::of(pair.a).bytes[0] % 2 == 0;
  return pair;
}

std::vector<Pair> read_pairs(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path);
  if (path != "-" && !file) throw BadInput{"cannot read " + path};
  std::istream& in = path == "-" ? std::cin : file;
  std::vector<Pair> pairs;
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    pairs.push_back(read_pair(text, fmt::format("{}:{}", path == "-" ? "<stdin>" : path, number)));
  }
  for (const bool same : {true, false}) {
    if (std::ranges::none_of(pairs, [&](const Pair& pair) { return pair.judged.same == same; }))
      throw BadInput{fmt::format("{} has no pair with \"same\": {}; both kinds are needed", path, same)};
  }
  return pairs;
}

void embed_pairs(std::vector<Pair>& pairs, embed::Embedder& embedder) {
  const auto dimension = static_cast<std::ptrdiff_t>(embedder.dimension());
  for (std::size_t from = 0; from < pairs.size(); from += kBatch) {
    const std::size_t to = std::min(from + kBatch, pairs.size());
    std::vector<std::string_view> texts;
    for (std::size_t i = from; i < to; ++i) {
      texts.emplace_back(pairs[i].a);
      texts.emplace_back(pairs[i].b);
    }
    const std::vector<float> rows = embedder.embed(texts);
    auto row = rows.begin();
    for (std::size_t i = from; i < to; ++i, row += 2 * dimension)
      pairs[i].judged.cosine = std::inner_product(row, row + dimension, row + dimension, 0.0F);
    if (pairs.size() > 20 * kBatch) std::fprintf(stderr, "\r%zu of %zu pairs", to, pairs.size());
  }
  if (pairs.size() > 20 * kBatch) std::fputs("\n", stderr);
}

void judge_pairs(std::vector<Pair>& pairs, const embed::Embedder& embedder) {
  for (Pair& pair : pairs) {
    pair.reason = cache::why_not_cacheable(pair.b);
    if (pair.reason.empty()) pair.reason = cache::why_not_cacheable(pair.a);
    if (pair.reason.empty() && !(embedder.sees_all(pair.a) && embedder.sees_all(pair.b))) pair.reason = "unread";
    if (pair.reason.empty()) {
      pair.reason =
          cache::guard_objection(cache::GuardedQuestion(pair.a), cache::GuardedQuestion(pair.b), pair.judged.cosine);
    }
    pair.judged.admitted = pair.reason.empty();
  }
}

std::vector<float> thresholds() {
  std::vector<float> all;
  for (int percent = 50; percent <= 99; ++percent) all.push_back(static_cast<float>(percent) / 100.0F);
  return all;
}

std::vector<cache::JudgedPair> half(const std::vector<Pair>& pairs, bool chooses,
                                    const std::string* category = nullptr) {
  std::vector<cache::JudgedPair> judged;
  for (const Pair& pair : pairs) {
    if (pair.chooses == chooses && (category == nullptr || pair.category == *category)) judged.push_back(pair.judged);
  }
  return judged;
}

TuneCurve curve_of(const std::vector<Pair>& pairs, bool guarded, double max_error_rate) {
  TuneCurve curve{guarded ? "guarded" : "threshold", {}, {}};
  const auto reported = half(pairs, false);
  for (const float threshold : thresholds())
    curve.points.push_back(cache::judge_threshold(reported, guarded, threshold));
  curve.chosen = cache::choose_threshold(half(pairs, true), guarded, thresholds(), max_error_rate);
  return curve;
}

std::string in_words(const cache::Share& share) {
  if (share.of == 0) return "-";
  return fmt::format("{:5.1f} % [{:4.1f}, {:5.1f}] of {}", 100 * share.value(), 100 * share.low, 100 * share.high,
                     share.of);
}

void print_curve(const TuneCurve& curve) {
  std::printf("#\n# policy: %s\n# %-10s %-30s %s\n", curve.policy.c_str(), "threshold", "hits of the same",
              "hits of different ones (95 %)");
  for (std::size_t i = 0; i < curve.points.size(); ++i) {
    const cache::CurvePoint& point = curve.points[i];
    const bool is_chosen = curve.chosen && *curve.chosen == point.threshold;
    if (i % 5 != 0 && i + 1 != curve.points.size() && !is_chosen) continue;
    std::printf("# %-10.2f %-30s %-30s%s\n", static_cast<double>(point.threshold), in_words(point.true_hits).c_str(),
                in_words(point.false_hits).c_str(), is_chosen ? " <- chosen on the other half" : "");
  }
}

void print_categories(const std::vector<Pair>& pairs, const TuneCurve& curve, float threshold) {
  std::map<std::string, int> categories;
  for (const Pair& pair : pairs) ++categories[pair.category];
  if (categories.size() < 2) return;
  std::printf("#\n# by category, %s at %.2f\n", curve.policy.c_str(), static_cast<double>(threshold));
  for (const auto& [category, count] : categories) {
    const auto point = cache::judge_threshold(half(pairs, false, &category), curve.policy == "guarded", threshold);
    std::printf("#   %-40s same %-30s different %s\n", category.empty() ? "(none)" : category.c_str(),
                in_words(point.true_hits).c_str(), in_words(point.false_hits).c_str());
  }
}

void print_reasons(const std::vector<Pair>& pairs, float threshold) {
  std::map<std::string_view, std::pair<int, int>> reasons;
  for (const Pair& pair : pairs) {
    if (pair.chooses || pair.reason.empty() || pair.judged.cosine < threshold) continue;
    ++(pair.judged.same ? reasons[pair.reason].second : reasons[pair.reason].first);
  }
  std::printf("#\n# what was refused from %.2f on: %-24s different ones, the same\n", static_cast<double>(threshold),
              "");
  for (const auto& [reason, counts] : reasons)
    std::printf("#   %-52s %9d %9d\n", std::string(reason).c_str(), counts.first, counts.second);
}

json share_json(const cache::Share& share) {
  return {{"hits", share.hits}, {"of", share.of}, {"low", share.low}, {"high", share.high}};
}

json as_json(const std::vector<TuneCurve>& curves, double max_error_rate) {
  json out{{"max_error_rate", max_error_rate}, {"curves", json::array()}};
  for (const TuneCurve& curve : curves) {
    json points = json::array();
    for (const cache::CurvePoint& point : curve.points) {
      points.push_back({{"threshold", point.threshold},
                        {"same", share_json(point.true_hits)},
                        {"different", share_json(point.false_hits)}});
    }
    out["curves"].push_back(
        {{"policy", curve.policy}, {"points", points}, {"chosen", curve.chosen ? json(*curve.chosen) : json()}});
  }
  return out;
}

// Before the long work, so that it is not in vain.
void check_writable(const std::string& path) {
  if (path.empty()) return;
  const auto folder = std::filesystem::absolute(path).parent_path();
  if (!std::ofstream(path + ".new")) throw BadInput{fmt::format("cannot write to {} in {}", path, folder.string())};
}

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  const std::string draft = path + ".new";
  std::error_code failed;
  bool written = false;
  {
    std::ofstream out(draft, std::ios::binary);
    written = static_cast<bool>(out << text << std::flush);
  }
  if (written) std::filesystem::rename(draft, path, failed);
  if (!written || failed) throw BadInput{"cannot write " + path};
}

// The curve with the most hits at its chosen threshold, by the half that chose; null if neither has one.
const TuneCurve* best_of(const std::vector<TuneCurve>& curves, const std::vector<Pair>& pairs) {
  const TuneCurve* best = nullptr;
  int most = -1;
  for (const TuneCurve& curve : curves) {
    if (!curve.chosen) continue;
    const auto point = cache::judge_threshold(half(pairs, true), curve.policy == "guarded", *curve.chosen);
    if (point.true_hits.hits <= most) continue;
    most = point.true_hits.hits;
    best = &curve;
  }
  return best;
}

void recommend(const TuneCurve* best, const std::vector<Pair>& pairs, double max_error_rate,
               const cache::CacheSettings& present) {
  if (best == nullptr) {
    const auto different = std::ranges::count_if(half(pairs, true), [](const auto& pair) { return !pair.same; });
    const int fewest = cache::fewest_pairs(max_error_rate);
    std::printf("#\n# No threshold of either policy keeps false hits below %.2f %% for sure", 100 * max_error_rate);
    if (different < fewest) {
      std::printf(": at least %d pairs that differ are needed in the half that chooses, and it has %d", fewest,
                  static_cast<int>(different));
    }
    std::printf(".\n# The present setting stays.\n");
  } else {
    const auto shown = cache::judge_threshold(half(pairs, false), best->policy == "guarded", *best->chosen);
    std::printf("#\n# On the half that did not choose: hits %s, false hits %s.\n", in_words(shown.true_hits).c_str(),
                in_words(shown.false_hits).c_str());
  }
  const float threshold = best == nullptr ? present.threshold : *best->chosen;
  const std::string policy = best == nullptr ? (present.guards ? "guarded" : "threshold") : best->policy;
  std::printf("cache:\n  semantic:\n    policy: %s\n    threshold: %.2f\n", policy.c_str(),
              static_cast<double>(threshold));
}

int refuse(const std::string& what) {
  std::fprintf(stderr, "kvasir: %s\nusage: %s\n", what.c_str(), kTuneUsage);
  return 2;
}

int tune(Wanted wanted) {
  std::error_code ignored;
  if (wanted.config.empty() && std::filesystem::exists("./kvasir.yaml", ignored)) wanted.config = "./kvasir.yaml";
  const Environment environment = process_environment();
  const Config config = wanted.config.empty() ? default_config(environment) : load_config(wanted.config, environment);
  // Without a file nothing is needed but the embedder.
  for (const ConfigError& error : config.errors) {
    if (!wanted.config.empty()) throw BadInput{error.text()};
  }
  if (config.settings.embedding_model.empty())
    throw BadInput{"there is no embedder: set embedding.model in the configuration, or run deploy/fetch_models.sh"};
  const double max_error_rate = wanted.max_error_rate.value_or(0.01);
  std::vector<Pair> pairs = read_pairs(wanted.pairs);
  check_writable(wanted.svg);
  check_writable(wanted.json);
  std::string error;
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const auto embedder = embed::LocalEmbedder::open(config.settings.embedding_model, threads, error);
  if (!embedder) throw BadInput{error};

  embed_pairs(pairs, *embedder);
  judge_pairs(pairs, *embedder);
  std::printf("# %zu pairs, embedder %s\n# false hits wanted: at most %.2f %%, with 97.5 %% confidence\n", pairs.size(),
              embedder->identity().c_str(), 100 * max_error_rate);
  std::vector<TuneCurve> curves;
  for (const bool guarded : {true, false}) curves.push_back(curve_of(pairs, guarded, max_error_rate));
  for (const TuneCurve& curve : curves) print_curve(curve);
  const TuneCurve* best = best_of(curves, pairs);
  const TuneCurve& shown = best == nullptr ? curves.front() : *best;
  const float threshold = shown.chosen.value_or(config.settings.cache.threshold);
  print_categories(pairs, shown, threshold);
  print_reasons(pairs, std::min(threshold, config.settings.cache.threshold));
  recommend(best, pairs, max_error_rate, config.settings.cache);
  write_file(wanted.svg, draw_curves(curves));
  write_file(wanted.json, wanted.json.empty() ? "" : as_json(curves, max_error_rate).dump(1) + "\n");
  return 0;
}

}  // namespace

int run_tune(const std::vector<std::string_view>& arguments) {
  Wanted wanted;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string name(arguments[i]);
    if (i + 1 == arguments.size()) return refuse(name + " needs a value");
    if (!read_option(name, arguments[i + 1], wanted))
      return refuse(fmt::format("{} {} is not understood", name, arguments[i + 1]));
  }
  if (wanted.pairs.empty()) return refuse("tune needs --pairs");
  try {
    return tune(std::move(wanted));
  } catch (const BadInput& bad) {
    std::fprintf(stderr, "kvasir: %s\n", bad.what.c_str());
    return 1;
  }
}

}  // namespace kvasir::gateway
