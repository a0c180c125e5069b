#include "gateway/chat_service.hpp"

#include "gateway/json_text.hpp"

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

cache::CacheRequest cache_request(const ChatCall& call, const std::string& model, const rag::Prompt& prompt) {
  const ChatRequest& request = *call.request;
  cache::CacheRequest keyed;
  keyed.tenant = call.tenant;
  if (request.user_scope) keyed.user = request.user;
  keyed.model = model;
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

// The exact key leaves out limits that an entry is checked against; a flight must agree on them from the start.
std::string flight_key(const cache::CacheKey& key) {
  return key.exact.hex() + "/" + std::to_string(key.max_tokens) + "/" + std::to_string(key.top_logprobs) + "/" +
         key.canonical;
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
};

std::shared_ptr<ChatService::Lookup> ChatService::prepare(ChatCall call, const ModelTable::Model& model) {
  auto lookup = std::make_shared<Lookup>();
  lookup->call = std::move(call);
  lookup->model = &model;
  ChatRequest& request = *lookup->call.request;
  lookup->prompt = rag::analyse(std::move(request.messages), std::move(request.documents));
  lookup->key = cache::make_key(cache_request(lookup->call, model.name, lookup->prompt));
  return lookup;
}

std::string_view ChatService::why_bypass(const Lookup& lookup) const {
  if (!settings_.exact && !settings_.semantic) return "disabled";
  if (lookup.call.directives.no_store) return "no_store";
  return lookup.key.not_cacheable;
}

Task<ChatOutcome> ChatService::answer(ChatCall call, Executor executor) {
  ChatOutcome outcome;
  const ModelTable::Model* model = models_->find(call.request->model);
  if (model == nullptr) {
    outcome.error = ApiError::model_not_found(call.request->model);
    co_return outcome;
  }
  if ((outcome.error = model->backend->check(*call.request))) co_return outcome;
  auto lookup = prepare(std::move(call), *model);
  const CacheDirectives directives = lookup->call.directives;
  const cache::LookupLimits limits{directives.max_age};

  if (const std::string_view reason = why_bypass(*lookup); !reason.empty()) {
    outcome.tier = CacheTier::bypass;
    outcome.reason = reason;
    if (directives.only_if_cached) {
      outcome.error =
          ApiError{504, "Nothing is cached for this request.", "invalid_request_error", "", "not_cached", 0};
    } else {
      start_alone(std::move(lookup), outcome, executor, false);
    }
    co_return outcome;
  }

  lookup->generation = cache_->generation();
  if (!directives.no_cache) {
    cache::Decision decision = cache_->find_exact(lookup->key, limits);
    if (serve(std::move(decision), CacheTier::exact, outcome)) co_return outcome;
    if (auto place = flights_.join(flight_key(lookup->key), executor); place && !directives.only_if_cached) {
      outcome.tier = CacheTier::coalesced;
      outcome.reason = "in_flight";
      outcome.client = std::move(place->client);
      outcome.entry_id = place->flight->entry_id();
      co_return outcome;
    }
  }

  const bool embeds = settings_.semantic && lookup->key.semantic && embedder_->available();
  if (embeds) {
    lookup->vector = co_await embedder_->embed(lookup->key.question);
    if (lookup->vector.empty()) outcome.reason = "embedder_busy";
    if (!lookup->vector.empty() && !directives.no_cache) {
      cache::Decision decision = cache_->find_semantic(lookup->key, lookup->vector, limits);
      if (serve(std::move(decision), CacheTier::semantic, outcome)) co_return outcome;
    }
  }

  if (directives.only_if_cached) {
    outcome.error = ApiError{504, "Nothing is cached for this request.", "invalid_request_error", "", "not_cached", 0};
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
  lookup->entry_id = cache_->new_entry_id();
  auto place = flights_.join_or_lead(flight_key(lookup->key), executor, lookup->entry_id, storing(lookup));
  outcome.client = std::move(place.client);
  outcome.entry_id = place.flight->entry_id();
  if (!place.leads) {
    outcome.tier = CacheTier::coalesced;
    outcome.reason = "in_flight";
    return;
  }
  // While the question was embedded, an equal flight may have landed: its answer is stored by now.
  if (!lookup->vector.empty()) {
    cache::Decision decision = cache_->find_exact(lookup->key, {lookup->call.directives.max_age});
    const std::string reason = outcome.reason;
    if (serve(std::move(decision), CacheTier::exact, outcome)) {
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
  if (store) outcome.entry_id = lookup->entry_id = cache_->new_entry_id();
  auto on_finished = store ? storing(lookup) : std::function<void(Flight&)>{};
  auto flight = std::make_shared<Flight>(lookup->entry_id, std::move(on_finished), nullptr);
  outcome.client = flight->join(executor);
  compute(std::move(lookup), flight, executor);
}

void ChatService::compute(std::shared_ptr<Lookup> lookup, const std::shared_ptr<Flight>& flight,
                          Executor executor) const {
  BackendCall call{lookup->call.request, std::move(lookup->prompt), lookup->call.tenant, lookup->call.request_id};
  lookup->model->backend->start(std::move(call), flight, executor);
}

std::function<void(Flight&)> ChatService::storing(const std::shared_ptr<Lookup>& lookup) const {
  return [this, lookup](Flight& flight) {
    const ChatRequest& request = *lookup->call.request;
    if (!worth_storing(flight.result(), request.max_tokens)) return flight.settle(false);
    const auto ttl = request.cache_ttl.value_or(settings_.ttl);
    cache_->store(lookup->entry_id, std::move(lookup->key), flight.result().answer, std::move(lookup->vector), ttl,
                  request.cache_tags, lookup->generation,
                  [flight = flight.shared_from_this()](bool stored) { flight->settle(stored); });
  };
}

}  // namespace kvasir::gateway
