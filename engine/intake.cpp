#include "engine/intake.hpp"

#include <algorithm>
#include <cmath>

namespace kvasir::engine {
namespace {

Error bad_request(std::string param, std::string message) {
  return {ErrorCode::bad_request, std::move(message), std::move(param), 0};
}

}  // namespace

Result<void> PromptReader::check(const GenerateRequest& request) const {
  const SamplingParams& sampling = request.sampling;
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
    return bad_request("temperature", "temperature must be a number of at least 0.");
  if (!(sampling.top_p > 0) || sampling.top_p > 1) return bad_request("top_p", "top_p must be above 0 and at most 1.");
  if (sampling.top_k < 0) return bad_request("top_k", "top_k must be at least 0.");
  if (sampling.top_logprobs > 20) return bad_request("top_logprobs", "top_logprobs must be at most 20.");
  if (request.max_tokens < 0) return bad_request("max_tokens", "max_tokens must be at least 1.");
  for (const auto& [token, bias] : sampling.logit_bias)
    if (token < 0 || token >= tokenizer_.size() || !std::isfinite(bias))
      return bad_request("logit_bias",
                         "logit_bias names token " + std::to_string(token) + ", which the model does not have.");
  for (const std::string& stop : request.stop)
    if (stop.empty()) return bad_request("stop", "stop strings must not be empty.");
  return {};
}

Result<std::string> PromptReader::render(const rag::Prompt& prompt) const {
  if (chat_.knows_documents() && !prompt.documents_in_text)
    return chat_.render(prompt.messages, prompt.documents.in_order(), true);
  return chat_.render(rag::messages_with_context(prompt), {}, true);
}

std::vector<DocumentMark> PromptReader::find_documents(const std::string& text, std::span<const TokenId> tokens,
                                                       const rag::DocumentSet& documents) const {
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const rag::Document& document : documents.in_order()) {
    const std::size_t at = text.find(document.text);
    // A template that rewrites the text hides where it lies: the mark then covers the whole prompt.
    found.emplace_back(at == std::string::npos ? 0 : at, document.key());
  }
  std::sort(found.begin(), found.end());
  std::vector<DocumentMark> marks;
  std::size_t offset = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < tokens.size() && next < found.size(); ++i) {
    const TokenId token = tokens[i];
    if (token != tokenizer_.bos() || i > 0)
      offset += tokenizer_.is_control(token) ? tokenizer_.piece(token).size() : tokenizer_.bytes(token).size();
    while (next < found.size() && found[next].first < offset)
      marks.push_back({static_cast<int>(i), std::move(found[next++].second)});
  }
  return marks;
}

Result<std::unique_ptr<Sequence>> PromptReader::read(Submission submission) const {
  GenerateRequest& request = submission.request;
  if (auto checked = check(request); !checked) return checked.error();
  const auto text = render(request.prompt);
  if (!text) return text.error();

  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = tokenizer_.encode(*text, true);
  sequence->prompt_tokens = sequence->size();
  if (sequence->tokens.empty()) return bad_request("messages", "the rendered prompt is empty.");
  if (sequence->prompt_tokens >= context_)
    return Error{ErrorCode::context_length,
                 "This model's maximum context length is " + std::to_string(context_) +
                     " tokens, but the messages are " + std::to_string(sequence->prompt_tokens) +
                     " tokens long. Please shorten them.",
                 "messages", 0};
  const int room = context_ - sequence->prompt_tokens;
  sequence->id = submission.id;
  sequence->max_tokens = request.max_tokens == 0 ? room : std::min(request.max_tokens, room);
  sequence->cache_namespace = std::move(request.cache_namespace);
  sequence->record = request.prompt_cache;
  sequence->documents = find_documents(*text, sequence->tokens, request.prompt.documents);
  sequence->sampler = std::make_unique<Sampler>(request.sampling, kernels_);
  sequence->text =
      std::make_unique<TextStream>(tokenizer_, std::move(request.stop), request.sampling.top_logprobs >= 0);
  sequence->submitted = submission.submitted;
  sequence->listener = std::move(submission.listener);
  return sequence;
}

Intake::Intake(const PromptReader& reader, Ready ready, Refused refused, Cancelled cancelled)
    : reader_(reader),
      ready_(std::move(ready)),
      refused_(std::move(refused)),
      cancelled_(std::move(cancelled)),
      thread_([this] { work(); }) {}

Intake::~Intake() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Intake::push(Item item) {
  {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
  }
  wake_.notify_one();
}

void Intake::submit(Submission submission) {
  // std::function wants a copyable callable.
  auto held = std::make_shared<Submission>(std::move(submission));
  push([this, held] { take(std::move(*held)); });
}

void Intake::cancel(Engine::RequestId id) {
  push([this, id] { cancelled_(id); });
}

std::size_t Intake::queued() const {
  const std::lock_guard lock(mutex_);
  return items_.size();
}

void Intake::take(Submission submission) {
  const auto listener = submission.listener;
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return refused_(listener, {ErrorCode::shutting_down, "The engine is shutting down.", "", 0});
  }
  auto sequence = reader_.read(std::move(submission));
  if (sequence)
    ready_(std::move(*sequence));
  else
    refused_(listener, sequence.error());
}

void Intake::work() {
  for (;;) {
    Item item;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !items_.empty(); });
      if (items_.empty()) return;
      item = std::move(items_.front());
      items_.pop_front();
    }
    item();
  }
}

}  // namespace kvasir::engine
