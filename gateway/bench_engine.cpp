#include "engine/engine.hpp"
#include "gateway/bench_lanes.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <future>
#include <random>
#include <stdexcept>

namespace kvasir::gateway {
namespace {

class Waiter final : public engine::GenerateListener {
 public:
  void started(int, int) override { decode_began_ = std::clock(); }
  void delta(std::string text, std::vector<engine::TokenLogprob>) override { text_ += text; }
  void finished(const engine::GenerateSummary& summary) override {
    decode_clocks_ = std::clock() - decode_began_;
    done_.set_value(summary);
  }
  void failed(const engine::Error& error) override {
    done_.set_exception(std::make_exception_ptr(std::runtime_error(error.message)));
  }
  engine::GenerateSummary wait() { return done_.get_future().get(); }

  // After wait().
  const std::string& text() const { return text_; }
  // Of the processor, all threads.
  double decode_cpu_seconds() const { return static_cast<double>(decode_clocks_) / CLOCKS_PER_SEC; }

 private:
  std::string text_;
  std::clock_t decode_began_ = 0;
  std::clock_t decode_clocks_ = 0;
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

engine::GenerateRequest request_of(std::string system, std::string question, int generate,
                                   engine::OutputFormat format = {}) {
  engine::GenerateInput input;
  input.format = std::move(format);
  input.prompt =
      rag::analyse({{rag::Role::system, std::move(system), ""}, {rag::Role::user, std::move(question), ""}}, {});
  engine::GenerateRequest request;
  request.input = std::make_shared<engine::GenerateInput>(std::move(input));
  request.max_tokens = generate;
  request.sampling.temperature = 0;
  return request;
}

engine::GenerateSummary run(engine::Engine& engine, engine::GenerateRequest request) {
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
    const engine::GenerateSummary summary = run(engine, request_of("You write JSON.", "Describe a book.", generate,
                                                                   {engine::OutputFormat::Kind::json_schema, kSchema}));
    const double step = seconds(summary.decode) / std::max(1, summary.completion_tokens - 1);
    const double mean = seconds(summary.masking) / std::max(1, summary.completion_tokens);
    std::printf(
        "{\"masks\": \"%s\", \"generated_tokens\": %d, \"step_ms\": %.3f, \"masking_share\": %.5f, "
        "\"masking_worst_share\": %.5f}\n",
        masks, summary.completion_tokens, 1e3 * step, mean / step, seconds(summary.worst_masking) / step);
  }
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Decoding with speculation against decoding without, in turns: a text to copy, and free text in which little comes
// twice. Ratios are medians of the rounds; above 1, speculation is faster.
void speculation(engine::Engine& plain, engine::Engine& speculative, int prompt, int generate, int rounds) {
  for (const bool copy : {true, false}) {
    std::vector<double> wall;
    std::vector<double> cpu;
    int accepted = 0;
    int rejected = 0;
    bool same = true;
    for (int round = 0; round < rounds; ++round) {
      const std::string text = words(prompt, static_cast<unsigned>(round + 1));
      engine::GenerateRequest request =
          copy ? request_of("You copy texts word by word.", "Copy this text: " + text, generate)
               : request_of("You tell stories.", "Tell a story with these words: " + text, generate);
      request.sampling.temperature = copy ? 0.0F : 1.0F;
      request.sampling.seed = static_cast<std::uint64_t>(round);
      const auto run_on = [&](engine::Engine& engine) {
        const auto waiter = std::make_shared<Waiter>();
        engine.submit(request, waiter);
        return std::pair(waiter->wait(), waiter);
      };
      const bool plain_first = round % 2 == 0;
      const auto first = run_on(plain_first ? plain : speculative);
      const auto second = run_on(plain_first ? speculative : plain);
      const auto& [without, heard_without] = plain_first ? first : second;
      const auto& [with, heard_with] = plain_first ? second : first;
      wall.push_back(seconds(without.decode) / seconds(with.decode));
      cpu.push_back(heard_without->decode_cpu_seconds() / heard_with->decode_cpu_seconds());
      accepted += with.accepted_tokens;
      rejected += with.rejected_tokens;
      same = same && heard_without->text() == heard_with->text();
    }
    std::printf(
        "{\"speculation\": \"%s\", \"rounds\": %d, \"speed_ratio\": %.3f, \"cpu_ratio\": %.3f, \"accepted_tokens\": "
        "%d, \"rejected_tokens\": %d, \"same_answers\": %s}\n",
        copy ? "copy" : "free", rounds, median(wall), median(cpu), accepted, rejected, same ? "true" : "false");
    std::fflush(stdout);
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
  const engine::SpeculationSettings guessing = settings.speculation;
  settings.speculation.max_tokens = 0;  // every token is a step: what other engines' decoding is compared with
  auto engine = engine::Engine::load(settings);
  if (!engine) {
    std::fprintf(stderr, "kvasir bench: %s\n", engine.error().message.c_str());
    return 1;
  }
  if (arguments.flag("--speculation")) {
    settings.speculation = guessing;
    auto speculative = engine::Engine::load(settings);
    if (!speculative) return 1;
    speculation(**engine, **speculative, prompt, generate, runs);
    return 0;
  }
  if (arguments.flag("--structured")) {
    structured(**engine, generate);
    return 0;
  }
  for (unsigned i = 0; i < static_cast<unsigned>(runs); ++i) {
    // A new system prompt each time: the first request is cold, the second finds it in the tree.
    const std::string system = words(prompt, 2 * i + 1);
    const engine::GenerateSummary cold = run(**engine, request_of(system, "Tell me a long story about it.", generate));
    const engine::GenerateSummary warm = run(**engine, request_of(system, "What is the third word of all?", 1));
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
