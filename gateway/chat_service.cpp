#include "gateway/chat_service.hpp"

#include "gateway/json_text.hpp"
#include "gateway/token_estimate.hpp"
#include "rag/sha256.hpp"

#include <algorithm>
#include <cctype>
#include <exception>

namespace kvasir::gateway {
namespace {

std::string logit_bias_json(const ChatRequest& request) {
  if (request.logit_bias.empty()) return "";
  std::string out = "{";
  for (const auto& [token, bias] : request.logit_bias) {
    if (out.size() > 1) out += ',';
    append_json_string(out, std::to_string(token));
    out += ':';
    append_number(out, static_cast<double>(bias));
  }
  return out + "}";
}

cache::CacheRequest cache_request(const ChatCall& call, const ModelTable::Model& model, const rag::Prompt& prompt) {
  const ChatRequest& request = *call.request;
  cache::CacheRequest keyed;
  keyed.tenant = call.caller->tenant();
  if (request.user_scope) keyed.user = request.user;
  keyed.model = model.name;
  keyed.documents = model.documents;
  keyed.prompt = &prompt;
  keyed.tools = request.tools;
  keyed.response_format = request.response_format;
  keyed.stop = request.stop;
  keyed.logit_bias = logit_bias_json(request);
  keyed.extra = request.extra;
  keyed.n = request.n;
  keyed.seed = request.seed;
  keyed.temperature = request.temperature;
  keyed.top_p = request.top_p;
  keyed.frequency_penalty = request.frequency_penalty;
  keyed.presence_penalty = request.presence_penalty;
  keyed.max_tokens = request.max_tokens;
  keyed.top_logprobs = request.logprobs ? request.top_logprobs : -1;
  return keyed;
}

// Context in a form that was not taken apart: it would be embedded with the question.
bool holds_context(std::string_view question) {
  const auto begins_with = [](std::string_view text, std::string_view lower) {
    return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
             return a == std::tolower(static_cast<unsigned char>(b));
           });
  };
  for (auto at = question.find('<'); at != std::string_view::npos; at = question.find('<', at + 1)) {
    if (begins_with(question.substr(at), "<document")) return true;
  }
  while (!question.empty()) {
    question.remove_prefix(std::min(question.find_first_not_of(" \t\r\n"), question.size()));
    if (begins_with(question, "context:")) return true;
    question.remove_prefix(std::min(question.find('\n'), question.size()));
  }
  return false;
}

// Of the system prompt that the caller means to send.
std::optional<ApiError> check_system(const ChatRequest& request, const std::string& system) {
  if (!request.system_sha256) return std::nullopt;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string digest;
  for (const std::uint8_t byte : rag::Sha256::of(system)) {
    digest += digits[byte >> 4];
    digest += digits[byte & 15];
  }
  if (digest == *request.system_sha256) return std::nullopt;
  return ApiError{409,
                  "'cache_checksum' is not the SHA-256 of the system prompt, which is sha256:" + digest + ".",
                  "invalid_request_error",
                  "cache_checksum",
                  "cache_checksum_mismatch",
                  0};
}

// Cut answers are kept only where the caller asked for the cut; anything unusual is not kept at all.
bool worth_storing(const FlightResult& result, int max_tokens) {
  if (!result.complete || result.answer.choices.empty()) return false;
  for (const cache::AnswerChoice& choice : result.answer.choices) {
    const bool cut = choice.finish_reason == "length" && max_tokens > 0;
    if (choice.finish_reason != "stop" && !cut) return false;
  }
  return true;
}

}  // namespace

// What one request needs on its way; shared with the callback that stores its answer.
struct ChatService::Lookup {
  ChatCall call;
  const ModelTable::Model* model = nullptr;
  rag::Prompt prompt;
  cache::CacheKey key;
  std::vector<float> vector;
  std::string entry_id;
  std::uint64_t generation = 0;
  SnapshotPtr snapshot;

  const cache::CacheSettings& settings() const { return snapshot->settings.cache; }
  std::chrono::seconds ttl() const { return call.request->cache_ttl.value_or(settings().ttl); }
  bool kept() const { return ttl().count() > 0; }
  // Whatever the request asks.
  std::string_view why_without_cache() const {
    if (!settings().exact && !settings().semantic) return "disabled";
    return call.directives.no_store ? "no_store" : "";
  }
  cache::LookupLimits limits() const {
    return {call.directives.max_age, cache::SemanticPolicy{settings().threshold, settings().guards}};
  }
  // Asked before anything is computed.
  std::optional<ApiError> reserve() const { return call.caller->reserve(most_tokens(*call.request), model->price); }

  // The exact key leaves out limits that an entry is checked against; a flight must agree on them from the start.
  // Nobody joins a flight from before an invalidation, nor one whose answer has fields that only its own shape can
  // carry.
  std::string flight_key() const {
    std::string text = key.exact.hex() + key.document_set.hex();
    for (const std::int64_t part :
         {std::int64_t{key.max_tokens}, std::int64_t{key.top_logprobs}, static_cast<std::int64_t>(generation),
          std::int64_t{model->backend->keeps_shape() && call.request->stream ? 1 : 0}}) {
      text += '/';
      append_number(text, part);
    }
    return text.append("/").append(key.canonical);
  }
};

namespace {

// For the key: a raw prompt is no chat, its bytes are in `extra` and its text is judged as a question.
rag::Prompt prompt_of(ChatRequest& request, const rag::ContextPatterns& patterns) {
  if (request.raw_prompts.empty()) {
    return rag::analyse(std::move(request.messages), std::move(request.documents), &patterns);
  }
  rag::Prompt prompt;
  for (const engine::RawPrompt& raw : request.raw_prompts) {
    prompt.question.append(raw.tokens.empty() ? std::string_view(raw.text) : "tokens").append("\n");
  }
  return prompt;
}

}  // namespace

std::shared_ptr<ChatService::Lookup> ChatService::prepare(ChatCall call, const ModelTable::Model& model) {
  auto lookup = std::make_shared<Lookup>();
  lookup->call = std::move(call);
  lookup->model = &model;
  lookup->snapshot = lookup->call.caller->snapshot();
  ChatRequest& request = *lookup->call.request;
  const bool nobody_reads_it =
      !lookup->why_without_cache().empty() && !model.backend->reads_prompt(request) && !request.system_sha256;
  if (!nobody_reads_it) lookup->prompt = prompt_of(request, lookup->snapshot->patterns);
  return lookup;
}

void ChatService::bypass(std::shared_ptr<Lookup> lookup, std::string_view reason, ChatOutcome& outcome,
                         Executor executor) {
  outcome.tier = CacheTier::bypass;
  outcome.reason = reason;
  if (lookup->call.directives.only_if_cached) {
    outcome.error = ApiError::not_cached();
  } else {
    start_alone(std::move(lookup), outcome, executor, false);
  }
}

Task<ChatOutcome> ChatService::answer(ChatCall call, Executor executor) {
  ChatOutcome outcome;
  const ModelTable::Model* model = call.caller->find_model(call.request->model);
  if (model == nullptr) {
    outcome.error = ApiError::model_not_found(call.request->model);
    co_return outcome;
  }
  outcome.model = model;
  for (const std::string& name : model->backend->also_uses(*call.request)) {
    if (call.caller->may_use(name)) continue;
    outcome.error = ApiError::model_not_found(name);
    co_return outcome;
  }
  call.request->model = model->name;  // the default model's answers carry its name
  if ((outcome.error = model->backend->check(*call.request, call.caller->tenant()))) co_return outcome;
  auto lookup = prepare(std::move(call), *model);
  if ((outcome.error = check_system(*lookup->call.request, lookup->prompt.system))) co_return outcome;
  const CacheDirectives directives = lookup->call.directives;
  const cache::LookupLimits limits = lookup->limits();

  if (const std::string_view reason = lookup->why_without_cache(); !reason.empty()) {
    bypass(std::move(lookup), reason, outcome, executor);
    co_return outcome;
  }
  lookup->key = cache::make_key(cache_request(lookup->call, *model, lookup->prompt));
  if (!lookup->key.not_cacheable.empty()) {
    bypass(lookup, lookup->key.not_cacheable, outcome, executor);
    co_return outcome;
  }

  lookup->generation = cache_->generation();
  if (!directives.no_cache) {
    cache::Decision decision = cache_->find_exact(lookup->key, limits);
    if (serve(std::move(decision), CacheTier::exact, outcome)) co_return outcome;
    if (auto place = flights_.join(lookup->flight_key(), executor); place && !directives.only_if_cached) {
      outcome.tier = CacheTier::coalesced;
      outcome.reason = "in_flight";
      outcome.client = std::move(place->client);
      outcome.entry_id = place->flight->entry_id();
      co_return outcome;
    }
  }

  // From here on the question is read, which an exact hit does not have to wait for.
  lookup->snapshot->judge.judge(lookup->key);
  if (!lookup->key.not_cacheable.empty()) {
    bypass(lookup, lookup->key.not_cacheable, outcome, executor);
    co_return outcome;
  }
  const bool raw = !lookup->call.request->raw_prompts.empty();
  const bool in_context = !raw && holds_context(lookup->key.question);
  if (raw || in_context) lookup->key.semantic = false;

  const bool has_embedder = lookup->settings().semantic && embedder_->available();
  const bool embeds = has_embedder && lookup->key.semantic && embedder_->sees_all(lookup->key.question);
  if (has_embedder && !embeds) {
    if (in_context) {
      outcome.reason = "context";
    } else if (lookup->key.follows_up && !lookup->key.semantic) {
      outcome.reason = "follow_up";
    } else if (lookup->key.semantic) {
      outcome.reason = "unread";
    }
  }
  if (embeds) {
    lookup->vector = co_await embedder_->embed(lookup->key.question);
    if (lookup->vector.empty()) outcome.reason = "embedder_busy";
  }
  if (has_embedder && !directives.no_cache) {
    cache::Decision decision = cache_->find_semantic(lookup->key, lookup->vector, limits);
    if (!lookup->vector.empty() && serve(std::move(decision), CacheTier::semantic, outcome)) co_return outcome;
  }

  if (directives.only_if_cached) {
    outcome.error = ApiError::not_cached();
  } else if (directives.no_cache) {
    outcome.tier = CacheTier::bypass;
    outcome.reason = "no_cache";
    start_alone(std::move(lookup), outcome, executor, true);
  } else {
    join_or_start(std::move(lookup), outcome, executor);
  }
  co_return outcome;
}

// Takes over a hit; of a miss keeps the reason.
bool ChatService::serve(cache::Decision decision, CacheTier tier, ChatOutcome& outcome) const {
  outcome.reason = decision.reason;
  if (decision.similarity) outcome.similarity = decision.similarity;
  if (!decision.entry) return false;
  outcome.tier = tier;
  outcome.entry_id = decision.entry->id;
  outcome.entry = std::move(decision.entry);
  return true;
}

void ChatService::join_or_start(std::shared_ptr<Lookup> lookup, ChatOutcome& outcome, Executor executor) {
  if ((outcome.error = lookup->reserve())) return;
  if (lookup->kept()) lookup->entry_id = cache_->new_entry_id();
  auto place = flights_.join_or_lead(lookup->flight_key(), executor, lookup->entry_id, storing(lookup));
  outcome.client = std::move(place.client);
  outcome.entry_id = place.flight->entry_id();
  if (!place.leads) {
    lookup->call.caller->release();
    outcome.tier = CacheTier::coalesced;
    outcome.reason = "in_flight";
    return;
  }
  // While the question was embedded, an equal flight may have landed: its answer is stored by now.
  if (!lookup->vector.empty()) {
    cache::Decision decision = cache_->find_exact(lookup->key, lookup->limits());
    const std::string reason = outcome.reason;
    if (serve(std::move(decision), CacheTier::exact, outcome)) {
      lookup->call.caller->release();
      outcome.client = nullptr;
      FlightResult landed;
      landed.answer = outcome.entry->answer;
      place.flight->finish(std::move(landed), false);  // for whoever joined meanwhile
      return;
    }
    outcome.reason = reason;
  }
  compute(std::move(lookup), place.flight, executor);
}

void ChatService::start_alone(std::shared_ptr<Lookup> lookup, ChatOutcome& outcome, Executor executor, bool store) {
  if ((outcome.error = lookup->reserve())) return;
  if (store && lookup->kept()) outcome.entry_id = lookup->entry_id = cache_->new_entry_id();
  auto on_finished = store ? storing(lookup) : std::function<void(Flight&)>{};
  auto flight = std::make_shared<Flight>(lookup->entry_id, std::move(on_finished), nullptr);
  outcome.client = flight->join(executor);
  compute(std::move(lookup), flight, executor);
}

void ChatService::compute(std::shared_ptr<Lookup> lookup, const std::shared_ptr<Flight>& flight,
                          Executor executor) const {
  BackendCall call{lookup->call.request,
                   std::move(lookup->prompt),
                   lookup->call.caller->tenant(),
                   lookup->call.caller->priority(),
                   lookup->call.request_id,
                   lookup->call.traceparent,
                   lookup->snapshot};
  try {
    lookup->model->backend->start(std::move(call), flight, executor);
  } catch (const std::exception&) {  // a bug or exhausted memory: others may have joined, and nobody may wait for ever
    flight->fail(ApiError::internal());
  }
}

std::function<void(Flight&)> ChatService::storing(const std::shared_ptr<Lookup>& lookup) const {
  return [this, lookup](Flight& flight) {
    const ChatRequest& request = *lookup->call.request;
    if (lookup->entry_id.empty() || !worth_storing(flight.result(), request.max_tokens)) return flight.settle(Kept::no);
    cache_->store(lookup->entry_id, std::move(lookup->key), flight.result().answer, std::move(lookup->vector),
                  lookup->ttl(), request.cache_tags, lookup->generation,
                  [this, generation = lookup->generation, flight = flight.shared_from_this()](bool stored) {
                    // An invalidation meanwhile is no failure: the entry went as it would have gone a moment later.
                    const bool failed = !stored && cache_->generation() == generation;
                    flight->settle(stored ? Kept::yes : failed ? Kept::failed : Kept::no);
                  });
  };
}

}  // namespace kvasir::gateway
