#include "engine/engine.hpp"
#include "gateway/bench_lanes.hpp"

#include <algorithm>
#include <cstdio>
#include <future>
#include <random>
#include <stdexcept>

namespace kvasir::gateway {
namespace {

class Waiter final : public engine::GenerateListener {
 public:
  void started(int, int) override {}
  void delta(std::string, std::vector<engine::TokenLogprob>) override {}
  void finished(const engine::GenerateSummary& summary) override { done_.set_value(summary); }
  void failed(const engine::Error& error) override {
    done_.set_exception(std::make_exception_ptr(std::runtime_error(error.message)));
  }
  engine::GenerateSummary wait() { return done_.get_future().get(); }

 private:
  std::promise<engine::GenerateSummary> done_;
};

// Short common words: about one token each.
std::string words(int count, unsigned seed) {
  static constexpr const char* kWords[] = {"time",  "water", "house", "light", "paper", "river", "music", "stone",
                                           "green", "night", "world", "money", "story", "table", "train", "voice"};
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text.append(i == 0 ? "" : " ").append(kWords[random() % std::size(kWords)]);
  return text;
}

// Free text of two lengths, choices, digits: masks of every kind.
constexpr const char* kSchema = R"({"type": "object", "properties": {"title": {"type": "string", "maxLength": 60},
  "kind": {"enum": ["story", "report", "poem"]}, "pages": {"type": "integer", "minimum": 1, "maximum": 900},
  "written": {"type": "string", "format": "date"}, "chapters": {"type": "array", "minItems": 3, "items": {"type": "object",
  "properties": {"name": {"type": "string"}, "words": {"type": "integer"}}, "required": ["name", "words"]}}},
  "required": ["title", "kind", "pages", "written", "chapters"]})";

engine::GenerateSummary run(engine::Engine& engine, std::string system, std::string question, int generate,
                            engine::OutputFormat format = {}) {
  engine::GenerateInput input;
  input.format = std::move(format);
  input.prompt =
      rag::analyse({{rag::Role::system, std::move(system), ""}, {rag::Role::user, std::move(question), ""}}, {});
  engine::GenerateRequest request;
  request.input = std::make_shared<engine::GenerateInput>(std::move(input));
  request.max_tokens = generate;
  request.sampling.temperature = 0;
  const auto waiter = std::make_shared<Waiter>();
  engine.submit(std::move(request), waiter);
  return waiter->wait();
}

double seconds(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

// What finding the allowed tokens takes of a decode step of the same run. The first answer in a schema finds no masks,
// the second those of the first.
void structured(engine::Engine& engine, int generate) {
  for (const char* masks : {"cold", "warm"}) {
    const engine::GenerateSummary summary = run(engine, "You write JSON.", "Describe a book.", generate,
                                                {engine::OutputFormat::Kind::json_schema, kSchema});
    const double step = seconds(summary.decode) / std::max(1, summary.completion_tokens - 1);
    const double mean = seconds(summary.masking) / std::max(1, summary.completion_tokens);
    std::printf(
        "{\"masks\": \"%s\", \"generated_tokens\": %d, \"step_ms\": %.3f, \"masking_share\": %.5f, "
        "\"masking_worst_share\": %.5f}\n",
        masks, summary.completion_tokens, 1e3 * step, mean / step, seconds(summary.worst_masking) / step);
  }
}

}  // namespace

int bench_engine(const BenchArguments& arguments) {
  engine::EngineSettings settings;
  settings.gguf = arguments.text("--model", "");
  settings.threads = arguments.number("--threads", 0);
  const bool smoke = arguments.flag("--smoke");
  const int prompt = arguments.number("--prompt", smoke ? 64 : 512);
  const int generate = arguments.number("--generate", smoke ? 8 : 64);
  const int runs = arguments.number("--runs", smoke ? 1 : 5);
  auto engine = engine::Engine::load(settings);
  if (!engine) {
    std::fprintf(stderr, "kvasir bench: %s\n", engine.error().message.c_str());
    return 1;
  }
  if (arguments.flag("--structured")) {
    structured(**engine, generate);
    return 0;
  }
  for (unsigned i = 0; i < static_cast<unsigned>(runs); ++i) {
    // A new system prompt each time: the first request is cold, the second finds it in the tree.
    const std::string system = words(prompt, 2 * i + 1);
    const engine::GenerateSummary cold = run(**engine, system, "Tell me a long story about it.", generate);
    const engine::GenerateSummary warm = run(**engine, system, "What is the third word of all?", 1);
    std::printf(
        "{\"prompt_tokens\": %d, \"prefill_tokens_per_s\": %.1f, \"generated_tokens\": %d, \"decode_tokens_per_s\": "
        "%.1f, "
        "\"ttft_cold_ms\": %.2f, \"ttft_warm_ms\": %.2f, \"reused_tokens\": %d, \"warm_to_cold\": %.3f}\n",
        cold.prompt_tokens, cold.prompt_tokens / seconds(cold.prefill), cold.completion_tokens,
        (cold.completion_tokens - 1) / seconds(cold.decode), 1e3 * seconds(cold.prefill), 1e3 * seconds(warm.prefill),
        warm.reused_tokens, seconds(warm.prefill) / seconds(cold.prefill));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace kvasir::gateway
