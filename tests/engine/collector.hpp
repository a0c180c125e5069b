// A listener that gathers an answer, and waits for it.
#pragma once

#include "engine/engine.hpp"

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {

struct Answer {
  std::string text;
  std::vector<float> logprobs;
  GenerateSummary summary;
  std::optional<Error> error;
};

class Collector final : public GenerateListener {
 public:
  void started(int, int) override { started_.set_value(); }
  void delta(std::string text, std::vector<TokenLogprob> logprobs) override {
    answer_.text += text;
    for (const TokenLogprob& entry : logprobs) {
      answer_.logprobs.push_back(entry.logprob);
      for (const auto& [token, logprob] : entry.top) answer_.logprobs.push_back(logprob);
    }
  }
  void finished(const GenerateSummary& summary) override {
    answer_.summary = summary;
    done_.set_value(answer_);
  }
  void failed(const Error& error) override {
    answer_.error = error;
    done_.set_value(answer_);
  }
  Answer wait() { return done_.get_future().get(); }
  void wait_started() { started_.get_future().get(); }
  bool silent() {
    auto future = done_.get_future();
    return future.wait_for(std::chrono::milliseconds(200)) == std::future_status::timeout;
  }

 private:
  Answer answer_;
  std::promise<Answer> done_;
  std::promise<void> started_;
};

// The input of a chat.
inline std::shared_ptr<const GenerateInput> input_of(std::vector<rag::Message> messages,
                                                     std::vector<rag::Document> documents = {}) {
  GenerateInput input;
  input.prompt = rag::analyse(std::move(messages), std::move(documents));
  return std::make_shared<GenerateInput>(std::move(input));
}

// An engine that is expected to load.
inline std::unique_ptr<Engine> load(const EngineSettings& settings) {
  auto engine = Engine::load(settings);
  EXPECT_TRUE(engine) << engine.error().message;
  return std::move(*engine);
}

// Waits until what was cancelled is gone: the engine's thread has seen it, then the disk's, which may have been writing
// to its blocks, then the engine's that these are free.
inline void settle(Engine& engine) {
  engine.invalidate({});
  engine.invalidate({});
}

inline Answer run(Engine& engine, GenerateRequest request) {
  const auto collector = std::make_shared<Collector>();
  engine.submit(std::move(request), collector);
  return collector->wait();
}

// Submits all at once; the answers in the order of the requests.
inline std::vector<Answer> run_together(Engine& engine, const std::vector<GenerateRequest>& requests) {
  std::vector<std::shared_ptr<Collector>> collectors;
  for (const GenerateRequest& request : requests) {
    collectors.push_back(std::make_shared<Collector>());
    engine.submit(request, collectors.back());
  }
  std::vector<Answer> answers;
  for (const auto& collector : collectors) answers.push_back(collector->wait());
  return answers;
}

}  // namespace kvasir::engine
