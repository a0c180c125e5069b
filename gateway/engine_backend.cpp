#include "gateway/engine_backend.hpp"

#include "gateway/http_message.hpp"
#include "gateway/openai_response.hpp"

#include <algorithm>
#include <mutex>

namespace kvasir::gateway {
namespace {

// OpenAI's word.
std::string_view to_string(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::stop:
      return "stop";
    case engine::FinishReason::length:
      return "length";
    case engine::FinishReason::tool_calls:
      return "tool_calls";
  }
  return "stop";
}

// The choices of one request: as many sequences of the engine, one flight. The sequences of a prompt share its KV: they
// are submitted together, and the engine lets all but one wait until the prefix is there.
class Choices {
 public:
  // `engine`: used while it is known to live, by its own calls and by those of who submits.
  Choices(std::shared_ptr<Flight> flight, std::string model, std::size_t per_prompt, std::size_t count,
          engine::Engine& engine)
      : flight_(std::move(flight)), engine_(&engine), per_prompt_(per_prompt), logprobs_(count), unfinished_(count) {
    answer_.model = std::move(model);
    answer_.system_fingerprint = kEngineFingerprint;
    answer_.choices.resize(count);
    calls_.resize(count);
  }

  // Any thread. A sequence that comes after the end is cancelled.
  void submitted(engine::Engine::RequestId id) {
    {
      const std::lock_guard lock(mutex_);
      ids_.push_back(id);
      if (!cancelled_) return;
    }
    cancel();
  }
  void cancel() {
    std::vector<engine::Engine::RequestId> ids;
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
      ids.swap(ids_);
    }
    for (const auto id : ids) engine_->cancel(id);
  }

  // Nothing more needs to be submitted.
  bool over() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

  // What follows runs on the engine's thread.
  void started() {
    if (!failed_) flight_->started();
  }

  void delta(std::size_t index, std::string text, const std::vector<engine::TokenLogprob>& logprobs) {
    if (failed_) return;
    FlightDelta delta;
    delta.index = static_cast<int>(index);
    for (const auto& logprob : logprobs) {
      if (!delta.logprobs.empty()) delta.logprobs += ',';
      append_logprob(delta.logprobs, logprob);
    }
    std::string& all = logprobs_[index];
    if (!delta.logprobs.empty()) {
      if (!all.empty()) all += ',';
      all += delta.logprobs;
    }
    answer_.choices[index].content += text;
    delta.content = std::move(text);
    flight_->push(std::move(delta));
  }

  void tool_call(std::size_t index, const engine::ToolCallDelta& piece) {
    if (failed_) return;
    std::vector<ToolCallPiece>& calls = calls_[index];
    ToolCallPiece shown{piece.index, "", piece.name, piece.arguments};
    const auto call = static_cast<std::size_t>(piece.index);
    if (calls.size() <= call) {
      shown.id = random_id("call_");
      calls.resize(call + 1);
      calls[call] = shown;
    } else {
      calls[call].arguments += piece.arguments;
    }
    called_ = true;
    FlightDelta delta;
    delta.index = static_cast<int>(index);
    delta.tool_calls.push_back(std::move(shown));
    flight_->push(std::move(delta));
  }

  void finished(std::size_t index, const engine::GenerateSummary& summary) {
    if (failed_) return;
    cache::AnswerChoice& choice = answer_.choices[index];
    choice.finish_reason = to_string(summary.finish);
    if (!logprobs_[index].empty()) choice.logprobs = R"({"content":[)" + logprobs_[index] + R"(],"refusal":null})";
    add(index, summary);
    if (--unfinished_ > 0) return;
    answer_.prompt_tokens = total_.prompt_tokens;
    answer_.completion_tokens = total_.completion_tokens;
    FlightResult result;
    result.answer = std::move(answer_);
    result.engine = total_;
    // A cached answer could not tell what was left out.
    result.complete = !called_ && !total_.truncated.any();
    result.prompts = std::move(prompts_);
    if (called_) result.tool_calls = std::move(calls_);
    flight_->finish(std::move(result));
  }

  void failed(const engine::Error& error) {
    if (std::exchange(failed_, true)) return;
    cancel();
    flight_->fail(ApiError::from(error));
  }

 private:
  // A prompt counts once, however many choices it has; times are those of the slowest.
  void add(std::size_t index, const engine::GenerateSummary& summary) {
    if (index % per_prompt_ == 0) {
      total_.prompt_tokens += summary.prompt_tokens;
      total_.reused_tokens += summary.reused_tokens;
      total_.computed_tokens += summary.computed_tokens;
      total_.truncated = summary.truncated;
      if (summary.prompt) prompts_.push_back(summary.prompt);
    }
    total_.completion_tokens += summary.completion_tokens;
    total_.accepted_tokens += summary.accepted_tokens;
    total_.rejected_tokens += summary.rejected_tokens;
    total_.queued = std::max(total_.queued, summary.queued);
    total_.prefill = std::max(total_.prefill, summary.prefill);
    total_.decode = std::max(total_.decode, summary.decode);
    total_.masking = std::max(total_.masking, summary.masking);
    total_.worst_masking = std::max(total_.worst_masking, summary.worst_masking);
  }

  const std::shared_ptr<Flight> flight_;
  engine::Engine* engine_;
  const std::size_t per_prompt_;
  std::mutex mutex_;
  std::vector<engine::Engine::RequestId> ids_;
  bool cancelled_ = false;

  cache::Answer answer_;
  std::vector<std::string> logprobs_;              // items, by choice
  std::vector<std::vector<ToolCallPiece>> calls_;  // whole so far, by choice
  bool called_ = false;
  engine::GenerateSummary total_;
  engine::RecordedPrompts prompts_;
  std::size_t unfinished_;
  bool failed_ = false;
};

// Lives as long as the engine works on the sequence; called on the engine's thread.
class Listener final : public engine::GenerateListener {
 public:
  Listener(std::shared_ptr<Choices> choices, std::size_t index) : choices_(std::move(choices)), index_(index) {}

  void started(int, int) override { choices_->started(); }
  void delta(std::string text, std::vector<engine::TokenLogprob> logprobs) override {
    choices_->delta(index_, std::move(text), logprobs);
  }
  void tool_call(const engine::ToolCallDelta& piece) override { choices_->tool_call(index_, piece); }
  void finished(const engine::GenerateSummary& summary) override { choices_->finished(index_, summary); }
  void failed(const engine::Error& error) override { choices_->failed(error); }

 private:
  std::shared_ptr<Choices> choices_;
  std::size_t index_;
};

// The first choice of a seed is the only one of a request without `n`; the others are as good as other seeds.
std::optional<std::uint64_t> seed_of(const ChatRequest& request, std::size_t choice) {
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15ULL;
  if (!request.seed) return std::nullopt;
  return static_cast<std::uint64_t>(*request.seed) ^ (choice * kGoldenRatio);
}

engine::SamplingParams sampling_of(const ChatRequest& request) {
  engine::SamplingParams sampling;
  sampling.temperature = static_cast<float>(request.temperature);
  sampling.top_p = static_cast<float>(request.top_p);
  sampling.top_k = request.top_k;
  sampling.min_p = static_cast<float>(request.min_p);
  sampling.repetition_penalty = static_cast<float>(request.repetition_penalty);
  sampling.frequency_penalty = static_cast<float>(request.frequency_penalty);
  sampling.presence_penalty = static_cast<float>(request.presence_penalty);
  sampling.logit_bias = request.logit_bias;
  sampling.top_logprobs = request.logprobs ? request.top_logprobs : -1;
  return sampling;
}

// Of the request's `index`th prompt. Takes the call's.
std::shared_ptr<const engine::GenerateInput> input_of(BackendCall& call, std::size_t index) {
  const ChatRequest& request = *call.request;
  auto input = std::make_shared<engine::GenerateInput>();
  input->prompt = std::move(call.prompt);
  if (!request.raw_prompts.empty()) input->raw = request.raw_prompts[index];
  input->format = request.format;
  input->tools = request.tool_use;
  input->prediction = request.prediction;
  return input;
}

}  // namespace

std::vector<Backend::Named> EngineBackend::adapted() const {
  std::vector<Named> all;
  for (const std::string& adapter : engine_->adapters()) {
    auto backend = std::make_shared<EngineBackend>(*this, adapter);
    all.push_back({backend->name_, backend});
  }
  return all;
}

std::vector<std::string> EngineBackend::also_uses(const ChatRequest& request) const {
  std::vector<std::string> names;
  for (const engine::LoraRequest& wanted : request.lora) names.push_back(adapted_name(base_, wanted.name));
  return names;
}

std::optional<ApiError> EngineBackend::check(const ChatRequest& request, const std::string& tenant) {
  const auto known = engine_->adapters();
  for (const engine::LoraRequest& wanted : request.lora)
    if (std::find(known.begin(), known.end(), wanted.name) == known.end())
      return ApiError::invalid("'lora': this model has no adapter '" + wanted.name + "'.", "lora");
  if (request.not_for_engine) {
    const auto& [param, why] = *request.not_for_engine;
    return ApiError::invalid("'" + param + "': " + why + ".", param);
  }
  const std::string& named = request.cached_prompt_id;
  if (!named.empty() && prompts_.find(tenant, named).empty()) return ApiError::prompt_not_found();
  return std::nullopt;
}

void EngineBackend::start(BackendCall call, std::shared_ptr<Flight> flight, Executor) {
  const ChatRequest& request = *call.request;
  const std::size_t prompts = std::max<std::size_t>(request.raw_prompts.size(), 1);
  const auto per_prompt = static_cast<std::size_t>(request.n);
  const auto choices = std::make_shared<Choices>(flight, name_, per_prompt, prompts * per_prompt, *engine_);
  engine::GenerateRequest generate;
  generate.max_tokens = request.max_tokens;
  generate.stop = request.stop;
  generate.sampling = sampling_of(request);
  generate.cache_namespace = call.tenant;
  generate.priority = call.priority;
  generate.prompt_cache = request.prompt_cache;
  generate.predict_tokens = request.predict_tokens;
  generate.pin = request.pin;
  generate.breakpoints = request.breakpoints;
  generate.system_label = request.system_label;
  generate.context_strategy = request.context_strategy;
  generate.priority_tokens = request.priority_tokens;
  if (!request.cached_prompt_id.empty()) {
    generate.keep = prompts_.find(call.tenant, request.cached_prompt_id);
    if (generate.keep.empty()) return flight->fail(ApiError::prompt_not_found());
  }
  if (adapter_) generate.lora.push_back({*adapter_});
  generate.lora.insert(generate.lora.end(), request.lora.begin(), request.lora.end());
  for (std::size_t i = 0; i < prompts * per_prompt && !choices->over(); ++i) {
    if (i % per_prompt == 0) generate.input = input_of(call, i / per_prompt);
    generate.sampling.seed = seed_of(request, i % per_prompt);
    choices->submitted(engine_->submit(generate, std::make_shared<Listener>(choices, i)));
    // One of them pins for all.
    generate.breakpoints.clear();
    generate.system_label.clear();
  }
  flight->on_cancel([choices, weak = std::weak_ptr(engine_)] {
    if (const auto engine = weak.lock()) choices->cancel();
  });
}

}  // namespace kvasir::gateway
