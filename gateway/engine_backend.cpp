#include "gateway/engine_backend.hpp"

#include "gateway/openai_response.hpp"

namespace kvasir::gateway {
namespace {

// Lives as long as the engine works on the request; called on the engine's thread.
class Listener final : public engine::GenerateListener {
 public:
  Listener(std::shared_ptr<Flight> flight, std::string model) : flight_(std::move(flight)) {
    answer_.model = std::move(model);
    answer_.system_fingerprint = kEngineFingerprint;
    answer_.choices.emplace_back();
  }

  void started(int, int) override { flight_->started(); }

  void delta(std::string text, std::vector<engine::TokenLogprob> logprobs) override {
    FlightDelta delta;
    for (const auto& logprob : logprobs) {
      if (!delta.logprobs.empty()) delta.logprobs += ',';
      append_logprob(delta.logprobs, logprob);
    }
    if (!delta.logprobs.empty()) {
      if (!logprobs_.empty()) logprobs_ += ',';
      logprobs_ += delta.logprobs;
    }
    answer_.choices[0].content += text;
    delta.content = std::move(text);
    flight_->push(std::move(delta));
  }

  void finished(const engine::GenerateSummary& summary) override {
    cache::AnswerChoice& choice = answer_.choices[0];
    choice.finish_reason = summary.finish == engine::FinishReason::stop ? "stop" : "length";
    if (!logprobs_.empty()) choice.logprobs = R"({"content":[)" + logprobs_ + R"(],"refusal":null})";
    answer_.prompt_tokens = summary.prompt_tokens;
    answer_.completion_tokens = summary.completion_tokens;
    flight_->finish({std::move(answer_), "", summary, true});
  }

  void failed(const engine::Error& error) override { flight_->fail(ApiError::from(error)); }

 private:
  std::shared_ptr<Flight> flight_;
  cache::Answer answer_;
  std::string logprobs_;
};

engine::SamplingParams sampling_of(const ChatRequest& request) {
  engine::SamplingParams sampling;
  sampling.temperature = static_cast<float>(request.temperature);
  sampling.top_p = static_cast<float>(request.top_p);
  sampling.top_k = request.top_k;
  sampling.frequency_penalty = static_cast<float>(request.frequency_penalty);
  sampling.presence_penalty = static_cast<float>(request.presence_penalty);
  if (request.seed) sampling.seed = static_cast<std::uint64_t>(*request.seed);
  sampling.logit_bias = request.logit_bias;
  sampling.top_logprobs = request.logprobs ? request.top_logprobs : -1;
  return sampling;
}

}  // namespace

std::optional<ApiError> EngineBackend::check(const ChatRequest& request) const {
  if (!request.not_for_engine) return std::nullopt;
  const auto& [param, why] = *request.not_for_engine;
  return ApiError::invalid("'" + param + "': " + why + ".", param);
}

void EngineBackend::start(BackendCall call, std::shared_ptr<Flight> flight, Executor) {
  engine::GenerateRequest generate;
  generate.prompt = std::move(call.prompt);
  generate.format = call.request->format;
  generate.max_tokens = call.request->max_tokens;
  generate.stop = call.request->stop;
  generate.sampling = sampling_of(*call.request);
  generate.cache_namespace = call.tenant;
  generate.prompt_cache = call.request->prompt_cache;
  const auto id = engine_->submit(std::move(generate), std::make_shared<Listener>(flight, name_));
  flight->on_cancel([weak = std::weak_ptr(engine_), id] {
    if (const auto engine = weak.lock()) engine->cancel(id);
  });
}

}  // namespace kvasir::gateway
