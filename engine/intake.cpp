#include "engine/intake.hpp"

#include "engine/prompt_places.hpp"
#include "engine/prompt_truncation.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <utility>

namespace kvasir::engine {
namespace {

// How long a labelled system prompt is kept after its last use, if no other one takes its label.
constexpr std::chrono::seconds kLabelLife = std::chrono::hours(24);
// What may wait to be tokenised; one request may always wait.
constexpr std::size_t kMaxQueuedBytes = std::size_t{64} << 20;
// What a sliding window is at least, and how many times its length a prompt may have at most.
constexpr int kLeastWindow = 4 * kernels::kKvBlock;
constexpr std::size_t kMostWindows = 64;
// What is read of a prediction for each token that the answer may have: it may leave out as much as it keeps.
constexpr std::size_t kPredictedTokens = 2;
constexpr std::size_t kPredictedBytes = 8;

Error bad_request(std::string param, std::string message) {
  return {ErrorCode::bad_request, std::move(message), std::move(param), 0};
}

Error too_long(int context, const GenerateInput& input, const std::string& tokens) {
  const std::string what = input.raw ? "the prompt is " : "the messages are ";
  return {ErrorCode::context_length,
          "This model's maximum context length is " + std::to_string(context) + " tokens, but " + what + tokens +
              " tokens long. Please shorten " + (input.raw ? "it." : "them."),
          input.raw ? "prompt" : "messages", 0};
}

// What a truncated prompt leaves for the answer.
int reserved(const GenerateRequest& request, int context) {
  constexpr int kUsualAnswer = 1024;
  return request.max_tokens > 0 ? std::min(request.max_tokens, context / 2) : std::min(kUsualAnswer, context / 4);
}

// Of the text that it holds.
std::size_t bytes_of(const rag::Message& message) {
  std::size_t bytes = message.text.size();
  for (const rag::ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
  return bytes;
}

std::size_t bytes_of(const GenerateInput& input) {
  const rag::Prompt& prompt = input.prompt;
  std::size_t bytes =
      prompt.system.size() + prompt.question.size() + input.format.schema.size() + input.prediction.size();
  for (const rag::Message& message : prompt.messages) bytes += bytes_of(message);
  for (const rag::Message& message : prompt.history) bytes += bytes_of(message);
  for (const rag::Document& document : prompt.documents.in_order()) bytes += document.text.size();
  for (const Tool& tool : input.tools.tools) bytes += tool.parameters.size() + tool.definition.size();
  if (const auto& raw = input.raw) bytes += raw->text.size() + raw->tokens.size() * sizeof(TokenId);
  return bytes;
}

}  // namespace

PromptReader::PromptReader(const Tokenizer& tokenizer, const ChatTemplate& chat, OutputConstraints& constraints,
                           const LoraLibrary& lora, int context, const SpeculationSettings& speculation,
                           DraftModel* draft, const kernels::Kernels& kernels)
    : tokenizer_(tokenizer),
      chat_(chat),
      renderer_(chat),
      constraints_(constraints),
      lora_(lora),
      context_(context),
      speculation_(speculation),
      draft_(draft),
      kernels_(kernels) {
  for (TokenId token = 0; token < tokenizer.size(); ++token)
    longest_token_ = std::max(longest_token_,
                              (tokenizer.is_control(token) ? tokenizer.piece(token) : tokenizer.bytes(token)).size());
}

Result<void> PromptReader::check(const GenerateRequest& request) const {
  const SamplingParams& sampling = request.sampling;
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
    return bad_request("temperature", "temperature must be a number of at least 0.");
  if (!(sampling.top_p >= 0) || sampling.top_p > 1) return bad_request("top_p", "top_p must be between 0 and 1.");
  if (sampling.top_k < 0) return bad_request("top_k", "top_k must be at least 0.");
  if (!(sampling.min_p >= 0) || sampling.min_p > 1) return bad_request("min_p", "min_p must be between 0 and 1.");
  if (!std::isfinite(sampling.repetition_penalty) || sampling.repetition_penalty <= 0)
    return bad_request("repetition_penalty", "repetition_penalty must be a number above 0.");
  if (sampling.top_logprobs > 20) return bad_request("top_logprobs", "top_logprobs must be at most 20.");
  if (const auto most = request.predict_tokens; most && (*most < 0 || *most > SpeculationSettings::kMostTokens))
    return bad_request("predict_options", "predict_options.tokens must be between 0 and 64.");
  if (request.max_tokens < 0) return bad_request("max_tokens", "max_tokens must be at least 1.");
  for (const auto& [token, bias] : sampling.logit_bias) {
    if (!std::isfinite(bias))
      return bad_request("logit_bias", "logit_bias of token " + std::to_string(token) + " is not a number.");
    if (token < 0 || token >= tokenizer_.size())
      return bad_request("logit_bias",
                         "logit_bias names token " + std::to_string(token) + ", which the model does not have.");
  }
  if (request.context_strategy == ContextStrategy::sliding && context_ < kLeastWindow)
    return bad_request("context_window_strategy",
                       "a context of " + std::to_string(context_) + " tokens is too short to slide over.");
  for (const std::string& stop : request.stop)
    if (stop.empty()) return bad_request("stop", "stop strings must not be empty.");
  return {};
}

void PromptReader::mark(Sequence& sequence, const GenerateRequest& request, std::string_view text) const {
  const GenerateInput& input = *request.input;
  const auto system = request.system_label.empty() ? std::nullopt : end_of_system(input.prompt, kLabelLife);
  if (!input.prompt.documents.empty() || !request.breakpoints.empty() || system) {
    const auto ends = token_ends(tokenizer_, text, sequence.tokens);
    sequence.documents = find_documents(text, ends, input.prompt.documents);
    sequence.pins = find_breakpoints(renderer_, input, request.breakpoints, text, ends);
    if (system) {
      for (PinMark mark : find_breakpoints(renderer_, input, {&*system, 1}, text, ends)) {
        mark.label = request.system_label;
        sequence.pins.push_back(std::move(mark));
      }
      std::ranges::stable_sort(sequence.pins, {}, &PinMark::tokens);
    }
  }
  if (request.pin.count() > 0) sequence.pins.push_back({sequence.prompt_tokens, request.pin});
}

Result<std::vector<TokenId>> PromptReader::tokenize(const GenerateInput& input, std::string& text,
                                                    std::size_t most) const {
  if (input.raw && !input.raw->tokens.empty()) {
    Detokenizer spoken(tokenizer_, Detokenizer::Of::text);
    for (const TokenId token : input.raw->tokens) {
      if (token < 0 || token >= tokenizer_.size())
        return bad_request("prompt",
                           "prompt names token " + std::to_string(token) + ", which the model does not have.");
      if (input.raw->echo)
        text += tokenizer_.is_control(token) ? std::string(tokenizer_.piece(token)) : spoken.push(token);
    }
    text += spoken.finish();
    return input.raw->tokens;
  }
  if (input.raw) {
    text = input.raw->text;
  } else {
    auto rendered = renderer_.render(input.prompt, input.tools);
    if (!rendered) return rendered.error();
    text = std::move(*rendered);
  }
  // Tokenising megabytes only to refuse them would hold up everybody behind.
  const std::size_t least = text.size() / longest_token_;
  if (least >= most) return too_long(context_, input, "at least " + std::to_string(least));
  std::vector<TokenId> tokens = tokenizer_.encode(text, true);
  if (!tokens.empty()) return tokens;
  if (input.raw && tokenizer_.bos() >= 0) return std::vector<TokenId>{tokenizer_.bos()};
  return bad_request(input.raw ? "prompt" : "messages", "the prompt is empty.");
}

int PromptReader::count_tokens(std::string_view text, int most) const {
  if (text.size() / longest_token_ >= static_cast<std::size_t>(most)) return most;
  const std::vector<TokenId> tokens = tokenizer_.encode(text, false);
  const bool begins = !tokens.empty() && tokens.front() == tokenizer_.bos();
  return std::min(most, static_cast<int>(tokens.size()) - (begins ? 1 : 0));
}

Result<std::vector<TokenId>> PromptReader::truncate(GenerateRequest& request, int room, std::string& text,
                                                    Truncation& dropped) const {
  const std::shared_ptr<const GenerateInput> given = request.input;
  const PromptTruncation truncation(given->prompt, request.priority_tokens, context_,
                                    [this](std::string_view of, int most) { return count_tokens(of, most); });
  auto left = std::make_shared<GenerateInput>();
  left->format = given->format;
  left->tools = given->tools;
  left->prediction = given->prediction;
  const auto read = [&](std::size_t parts) {
    left->prompt = truncation.without(parts);
    return tokenize(*left, text, static_cast<std::size_t>(context_));
  };
  std::size_t fewest = 0;
  std::size_t most = truncation.parts();
  while (fewest < most) {
    const std::size_t middle = (fewest + most) / 2;
    const auto tokens = read(middle);
    if (tokens && tokens->size() <= static_cast<std::size_t>(room))
      most = middle;
    else
      fewest = middle + 1;
  }
  dropped = truncation.dropped(most);
  request.breakpoints = truncation.move(request.breakpoints, most);
  request.input = left;
  return read(most);
}

std::shared_ptr<const Prediction> PromptReader::predict(const std::shared_ptr<const GenerateInput>& input,
                                                        std::size_t most) {
  if (auto shared = prediction_.lock(); shared && predicted_.lock() == input) return shared;
  const std::string_view text = std::string_view(input->prediction).substr(0, most * kPredictedBytes);
  std::vector<TokenId> tokens = tokenizer_.encode(text, false);
  if (!tokens.empty() && tokens.front() == tokenizer_.bos()) tokens.erase(tokens.begin());
  tokens.resize(std::min(tokens.size(), most * kPredictedTokens));
  auto prediction = std::make_shared<const Prediction>(std::move(tokens));
  predicted_ = input;
  prediction_ = prediction;
  return prediction;
}

std::unique_ptr<Speculation> PromptReader::speculate(const GenerateRequest& request, const Sequence& sequence) {
  const int most = request.predict_tokens.value_or(speculation_.max_tokens);
  if (most <= 0) return nullptr;
  std::vector<std::unique_ptr<Speculator>> speculators;
  const std::vector<TokenId>& prompt = sequence.tokens;
  if (!request.input->prediction.empty()) {
    auto prediction = predict(request.input, static_cast<std::size_t>(sequence.max_tokens));
    speculators.push_back(std::make_unique<PredictedAnswer>(std::move(prediction), prompt.size()));
  }
  if (speculation_.prompt_lookup) speculators.push_back(std::make_unique<PromptLookup>(prompt));
  if (draft_ != nullptr)
    speculators.push_back(
        std::make_unique<DraftSpeculator>(*draft_, sequence.sampler->without_penalties(), prompt.size()));
  if (speculators.empty()) return nullptr;
  return std::make_unique<Speculation>(std::move(speculators), most);
}

Result<std::unique_ptr<Sequence>> PromptReader::read(Submission submission) {
  GenerateRequest& request = submission.request;
  if (auto checked = check(request); !checked) return checked.error();
  auto constraint = constraints_.of(request.input->format, request.input->tools, chat_.tool_form());
  if (!constraint) return constraint.error();
  auto lora = lora_.resolve(request.lora);
  if (!lora) return lora.error();
  std::string text;
  Truncation truncated;
  const auto context = static_cast<std::size_t>(context_);
  auto tokens = tokenize(*request.input, text,
                         request.context_strategy == ContextStrategy::sliding ? context * kMostWindows : context);
  if (request.context_strategy == ContextStrategy::truncate && !request.input->raw) {
    const int room = context_ - reserved(request, context_);
    const bool too_long =
        tokens ? static_cast<int>(tokens->size()) > room : tokens.error().code == ErrorCode::context_length;
    if (too_long) tokens = truncate(request, room, text, truncated);
  }
  if (!tokens) return tokens.error();

  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = std::move(*tokens);
  sequence->prompt_tokens = sequence->size();
  const bool slides = request.context_strategy == ContextStrategy::sliding;
  if (sequence->prompt_tokens >= context_ && !slides)
    return too_long(context_, *request.input, std::to_string(sequence->prompt_tokens));
  int room = context_ - sequence->prompt_tokens;
  if (slides) {
    sequence->window = context_ / kernels::kKvBlock * kernels::kKvBlock;
    room = request.max_tokens == 0 ? context_ : request.max_tokens;
  }
  sequence->id = submission.id;
  sequence->max_tokens = request.max_tokens == 0 ? room : std::min(request.max_tokens, room);
  sequence->cache_namespace = request.cache_namespace + lora_salt(request.lora);
  sequence->tenant = std::move(request.cache_namespace);
  sequence->lora = std::move(*lora);
  sequence->priority = request.priority;
  sequence->record = request.prompt_cache;
  sequence->keep = std::move(request.keep);
  sequence->truncated = truncated;
  mark(*sequence, request, text);
  if (request.input->raw && request.input->raw->echo) sequence->echo = std::move(text);
  sequence->sampler = std::make_unique<Sampler>(request.sampling, kernels_);
  sequence->speculation = speculate(request, *sequence);
  const auto of = request.input->raw ? Detokenizer::Of::continuation : Detokenizer::Of::text;
  sequence->text =
      std::make_unique<TextStream>(tokenizer_, of, std::move(request.stop), request.sampling.top_logprobs >= 0);
  if (request.input->tools.in_play()) sequence->calls.emplace(request.input->tools, chat_.tool_form());
  if (*constraint) sequence->constraint = std::move(*constraint);
  sequence->submitted = submission.submitted;
  sequence->listener = std::move(submission.listener);
  return sequence;
}

Intake::Intake(PromptReader& reader, std::size_t max_queued, Ready ready, Refused refused)
    : reader_(reader), max_queued_(max_queued), ready_(std::move(ready)), refused_(std::move(refused)), thread_([this] {
        work();
      }) {}

Intake::~Intake() {
  stop();
}

void Intake::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool Intake::submit(Submission& submission) {
  const std::size_t bytes = bytes_of(*submission.request.input);
  {
    const std::lock_guard lock(mutex_);
    if (stop_ || queue_.size() >= max_queued_) return false;
    const bool shared = !queue_.empty() && queue_.back().submission.request.input == submission.request.input;
    if (!queue_.empty() && !shared && queued_bytes() + bytes > kMaxQueuedBytes) return false;
    queue_.push_back({std::move(submission), bytes});
  }
  wake_.notify_one();
  return true;
}

// What choices share counts once.
std::size_t Intake::queued_bytes() const {
  std::size_t bytes = 0;
  const GenerateInput* before = nullptr;
  for (const Queued& queued : queue_) {
    const GenerateInput* input = queued.submission.request.input.get();
    if (input != std::exchange(before, input)) bytes += queued.bytes;
  }
  return bytes;
}

void Intake::cancel(Engine::RequestId id) {
  const std::lock_guard lock(mutex_);
  if (reading_ == id) reading_cancelled_ = true;
  const auto found =
      std::find_if(queue_.begin(), queue_.end(), [id](const Queued& queued) { return queued.submission.id == id; });
  if (found != queue_.end()) queue_.erase(found);
}

// Whatever a prompt makes a library throw is that request's error, not the server's end.
Result<std::unique_ptr<Sequence>> Intake::read(Submission submission) {
  try {
    return reader_.read(std::move(submission));
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::overloaded, "There is not enough memory to read this prompt.", "", 1};
  } catch (const std::exception& error) {
    return Error{ErrorCode::internal, std::string("The prompt could not be read: ") + error.what(), "", 0};
  }
}

void Intake::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Queued next = std::move(queue_.front());
    queue_.pop_front();
    const auto listener = next.submission.listener;
    if (stop_) {
      refused_(listener, {ErrorCode::shutting_down, "The engine is shutting down.", "", 0});
      continue;
    }
    reading_ = next.submission.id;
    reading_cancelled_ = false;
    lock.unlock();
    auto sequence = read(std::move(next.submission));
    lock.lock();
    // Passed on under the lock: a cancel comes either before this, or after the sequence is on its way.
    reading_ = 0;
    if (reading_cancelled_) continue;
    if (sequence)
      ready_(std::move(*sequence));
    else
      refused_(listener, sequence.error());
  }
}

}  // namespace kvasir::engine
