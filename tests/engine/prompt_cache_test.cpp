// What requests say about the KV of their prompts, and about prompts that are too long; on a tiny model.
#include "tests/engine/collector.hpp"
#include "tests/engine/tiny_model.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using rag::Role;
using std::chrono::minutes;

std::string words(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text += "word" + std::to_string(random() % 1000) + " ";
  return text;
}

class PromptCache : public testing::Test {
 protected:
  // 100 blocks: 3 layers, keys and values, 2 heads of 16, 16 tokens, f16.
  static constexpr std::uint64_t kKvMemory = std::uint64_t{100} * 3 * 2 * 2 * 16 * 16 * 2;

  PromptCache() {
    EngineSettings settings;
    settings.gguf = file_.path();
    settings.kv_memory = kKvMemory;
    settings.threads = 2;
    engine_ = std::move(*Engine::load(settings));
  }
  static GenerateRequest chat(std::vector<rag::Message> messages, std::vector<rag::Document> documents = {}) {
    GenerateRequest request;
    request.input = input_of(std::move(messages), std::move(documents));
    request.max_tokens = 4;
    request.sampling.temperature = 0;
    request.sampling.top_logprobs = 3;
    request.sampling.logit_bias = {{258, -100.0F}};
    return request;
  }
  static GenerateRequest ask(const std::string& system, const std::string& question) {
    return chat({{Role::system, system, ""}, {Role::user, question, ""}});
  }
  void push_out_what_is_not_pinned() {
    for (unsigned i = 100; i < 112; ++i) run(*engine_, ask(words(60, i), "q"));
    ASSERT_GT(engine_->stats().evicted_blocks, 0U);
  }
  std::uint64_t pinned() const { return engine_->stats().kv_blocks_pinned; }
  int reused(const GenerateRequest& request) { return run(*engine_, request).summary.reused_tokens; }

  TinyModelFile file_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(PromptCache, KeepsThePromptUpToEachBreakpoint) {
  GenerateRequest marked = ask(words(40, 1), words(40, 2));
  marked.breakpoints.push_back({Breakpoint::Of::message, 0, minutes(5), {}});
  const int prompt = run(*engine_, marked).summary.prompt_tokens;
  const auto kept = static_cast<int>(pinned());
  EXPECT_LE(std::abs(kept - prompt / 32), 3);
  push_out_what_is_not_pinned();
  EXPECT_GE(reused(ask(words(40, 1), "another question")), kept * 16);
}

TEST_F(PromptCache, KeepsAPromptThatIsNamedAndAnswersTheSame) {
  const Answer first = run(*engine_, ask(words(40, 1), "q"));
  ASSERT_NE(first.summary.prompt, nullptr);
  EXPECT_EQ(static_cast<int>(first.summary.prompt->tokens.size()), first.summary.prompt_tokens);
  EXPECT_EQ(pinned(), 0U);
  GenerateRequest naming = ask(words(40, 1), "q");
  naming.keep = {first.summary.prompt};
  const Answer second = run(*engine_, naming);
  EXPECT_EQ(second.logprobs, first.logprobs);
  EXPECT_EQ(static_cast<int>(pinned()), first.summary.prompt_tokens / 16);
  push_out_what_is_not_pinned();
  EXPECT_FALSE(run(*engine_, naming).error);
}

TEST_F(PromptCache, RefusesAPromptThatIsGoneOrAnothersNamespace) {
  const Answer first = run(*engine_, ask(words(40, 1), "q"));
  GenerateRequest naming = ask("short", "q");
  naming.keep = {first.summary.prompt};
  naming.cache_namespace = "another";
  ASSERT_TRUE(run(*engine_, naming).error);
  naming.cache_namespace = "";
  EXPECT_FALSE(run(*engine_, naming).error);

  const Answer other = run(*engine_, ask(words(40, 2), "q"));
  push_out_what_is_not_pinned();
  naming.keep = {other.summary.prompt};
  const Answer refused = run(*engine_, naming);
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->code, ErrorCode::prompt_not_found);
}

TEST_F(PromptCache, TellsOfNoPromptThatIsNotRecorded) {
  GenerateRequest request = ask(words(40, 1), "q");
  request.prompt_cache = false;
  EXPECT_EQ(run(*engine_, request).summary.prompt, nullptr);
}

TEST_F(PromptCache, KeepsTheSystemPromptOfALabelUntilItHasAnother) {
  GenerateRequest labelled = ask(words(40, 1), words(20, 9));
  labelled.system_label = "\"rules\"";
  run(*engine_, labelled);
  const auto kept = static_cast<int>(pinned());
  EXPECT_GT(kept, 10);
  push_out_what_is_not_pinned();
  EXPECT_GE(reused(ask(words(40, 1), "another question")), kept * 16);
  GenerateRequest changed = ask(words(20, 2), "q");
  changed.system_label = "\"rules\"";
  run(*engine_, changed);
  EXPECT_LT(static_cast<int>(pinned()), kept);
  EXPECT_GT(pinned(), 0U);
  GenerateRequest bare = chat({{Role::user, "q", ""}});
  bare.system_label = "\"nothing\"";
  EXPECT_FALSE(run(*engine_, bare).error);
}

// The context is what the KV memory holds: 1,600 tokens.
class LongPrompt : public PromptCache {
 protected:
  static GenerateRequest too_long() {
    std::vector<rag::Message> messages{{Role::system, "Rules.", ""}};
    for (unsigned i = 0; i < 20; ++i) {
      messages.push_back({Role::user, words(10, i), ""});
      messages.push_back({Role::assistant, words(10, 50 + i), ""});
    }
    messages.push_back({Role::user, "asked", ""});
    return chat(std::move(messages));
  }
};

TEST_F(LongPrompt, IsRefusedUnlessItMayBeTruncated) {
  GenerateRequest request = too_long();
  ASSERT_TRUE(run(*engine_, request).error);
  request.context_strategy = ContextStrategy::truncate;
  const Answer answer = run(*engine_, request);
  ASSERT_FALSE(answer.error) << answer.error->message;
  EXPECT_GT(answer.summary.truncated.messages, 0);
  EXPECT_EQ(answer.summary.truncated.messages % 2, 0);
  EXPECT_EQ(answer.summary.truncated.documents, 0);
  // One more turn would not have fitted.
  EXPECT_LE(answer.summary.prompt_tokens + 4, engine_->context_length());
  EXPECT_GT(answer.summary.prompt_tokens + 220, engine_->context_length());
}

TEST_F(LongPrompt, LeavesRoomForTheAnswer) {
  GenerateRequest request = too_long();
  request.context_strategy = ContextStrategy::truncate;
  request.max_tokens = 300;
  const Answer answer = run(*engine_, request);
  EXPECT_EQ(answer.summary.completion_tokens, 300);
}

TEST_F(LongPrompt, IsAnsweredAsTheShorterOneWouldBe) {
  GenerateRequest request = too_long();
  request.context_strategy = ContextStrategy::truncate;
  const Answer answer = run(*engine_, request);
  std::vector<rag::Message> messages = request.input->prompt.messages;
  messages.erase(messages.begin() + 1, messages.begin() + 1 + answer.summary.truncated.messages);
  EXPECT_EQ(answer.logprobs, run(*engine_, chat(std::move(messages))).logprobs);
}

TEST_F(LongPrompt, LosesDocumentsOnceItHasNoTurnsToLose) {
  std::vector<rag::Document> documents;
  for (unsigned i = 0; i < 20; ++i) documents.push_back({std::to_string(i), words(20, i), "", "", ""});
  GenerateRequest request = chat({{Role::user, "asked", ""}}, documents);
  request.context_strategy = ContextStrategy::truncate;
  const Answer answer = run(*engine_, request);
  ASSERT_FALSE(answer.error) << answer.error->message;
  EXPECT_GT(answer.summary.truncated.documents, 0);
  EXPECT_LT(answer.summary.truncated.documents, 20);
}

TEST_F(LongPrompt, IsRefusedWhenNothingThatMayGoIsLeft) {
  GenerateRequest request =
      chat({{Role::user, words(10, 1), ""}, {Role::assistant, "yes", ""}, {Role::user, words(400, 1), ""}});
  request.context_strategy = ContextStrategy::truncate;
  const Answer huge = run(*engine_, request);
  ASSERT_TRUE(huge.error);
  EXPECT_EQ(huge.error->code, ErrorCode::context_length);
  request = too_long();
  request.context_strategy = ContextStrategy::truncate;
  request.priority_tokens.recent = 100'000;
  const Answer kept = run(*engine_, request);
  ASSERT_TRUE(kept.error);
  EXPECT_EQ(kept.error->code, ErrorCode::context_length);
}

TEST_F(LongPrompt, IsLeftAloneWhenItFits) {
  GenerateRequest request = ask("Rules.", "asked");
  request.context_strategy = ContextStrategy::truncate;
  EXPECT_FALSE(run(*engine_, request).summary.truncated.any());
}

TEST_F(LongPrompt, KeepsItsBreakpointsWhereTheyAre) {
  GenerateRequest request = too_long();
  request.context_strategy = ContextStrategy::truncate;
  request.breakpoints = {{Breakpoint::Of::message, 40, minutes(5), {}}, {Breakpoint::Of::message, 1, minutes(5), {}}};
  const Answer answer = run(*engine_, request);
  ASSERT_FALSE(answer.error);
  // Message 40 is the last before the question: nearly all of the prompt, but pins hold half of the KV at most.
  EXPECT_EQ(pinned(), 0U);
}

}  // namespace
}  // namespace kvasir::engine
