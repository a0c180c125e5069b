#include "gateway/cache_admin.hpp"

#include "cache/lookup_log.hpp"
#include "cache/replay.hpp"
#include "gateway/api_error.hpp"
#include "gateway/error_response.hpp"
#include "gateway/http_query.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using cache::LookupOutcome;
using nlohmann::json;

constexpr std::size_t kMostEntries = 1000;  // of one answer
constexpr std::size_t kMostChanges = 200;   // listed of a replay
constexpr float kComparedFrom = 0.5F;       // guards are asked about what is at least so near
constexpr std::array kOutcomes = {"miss", "exact", "semantic"};

const char* word_of(LookupOutcome outcome) {
  return kOutcomes[static_cast<std::size_t>(outcome)];
}

std::int64_t unix_seconds(cache::Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

HttpResponse json_response(const json& body) {
  HttpResponse response;
  append_header(response.headers, "cache-control", "no-store");
  response.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
  return response;
}

// Four digits say all that a cosine of floats knows.
json rounded(float similarity) {
  return std::round(static_cast<double>(similarity) * 1e4) / 1e4;
}

json entry_json(const cache::Entry& entry) {
  return {{"id", entry.id},
          {"tenant", entry.key.tenant},
          {"model", entry.key.model},
          {"question", entry.key.question},
          {"documents", entry.key.documents},
          {"tags", entry.tags},
          {"partition", entry.key.partition.hex()},
          {"created", unix_seconds(entry.created)},
          {"expires", unix_seconds(entry.expires)},
          {"prompt_tokens", entry.answer.prompt_tokens},
          {"completion_tokens", entry.answer.completion_tokens}};
}

// What a look-up has in every listing. Its question is null where it was not kept.
json lookup_json(const cache::Lookup& lookup) {
  return {{"number", lookup.number},
          {"time", unix_seconds(lookup.time)},
          {"tenant", lookup.tenant},
          {"model", lookup.model},
          {"question", lookup.question.empty() ? json() : json(lookup.question)},
          {"outcome", word_of(lookup.outcome)},
          {"reason", lookup.reason},
          {"similarity", lookup.similarity ? rounded(*lookup.similarity) : json()}};
}

// `question` and `entry` are null if it is gone; `objection` is "" if nothing stands against it but the threshold, null
// if that was not looked into.
json near_json(const cache::NearEntry& near) {
  const cache::EntryPtr entry = near.entry.lock();
  json objection;
  if (!near.objection.empty()) {
    objection = near.objection;
  } else if (near.guard) {
    objection = *near.guard;
  }
  return {{"entry", entry ? json(entry->id) : json()},
          {"question", entry ? json(entry->key.question) : json()},
          {"similarity", rounded(near.similarity)},
          {"objection", std::move(objection)}};
}

Result<std::size_t> read_number(const HttpRequest& request, const char* name, std::size_t otherwise, std::size_t most) {
  const auto number = query_number(request.query, name, otherwise);
  if (!number) return ApiError::invalid(std::string(name).append(" must be a whole number, 0 or more."), name);
  return {boost::system::in_place_value, std::min(*number, most)};
}

Result<cache::SemanticPolicy> read_policy(const HttpRequest& request) {
  cache::SemanticPolicy policy;
  const std::string word = query_value(request.query, "policy").value_or("guarded");
  if (word != "guarded" && word != "threshold") {
    return ApiError::invalid("policy must be guarded or threshold.", "policy");
  }
  policy.guards = word == "guarded";
  const std::string text = query_value(request.query, "threshold").value_or("");
  const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), policy.threshold);
  const bool whole = error == std::errc{} && last == text.data() + text.size();
  // Written so that a NaN is refused too.
  if (!whole || !(policy.threshold >= -1.0F && policy.threshold <= 1.0F)) {
    return ApiError::invalid("threshold must be a number from -1 to 1.", "threshold");
  }
  return policy;
}

// How many look-ups ended in each way.
struct Tally {
  std::array<std::uint64_t, kOutcomes.size()> counts{};
  std::uint64_t unknown = 0;

  void add(LookupOutcome outcome) { ++counts[static_cast<std::size_t>(outcome)]; }
  json to_json() const {
    json out = json::object();
    for (std::size_t i = 0; i < counts.size(); ++i) out[kOutcomes[i]] = counts[i];
    return out;
  }
};

// Another tier, or another answer.
bool is_another(const cache::Lookup& lookup, const cache::Replayed& replayed) {
  if (lookup.outcome != replayed.outcome) return true;
  const cache::EntryPtr entry = replayed.served == nullptr ? nullptr : replayed.served->entry.lock();
  return entry && entry->id != lookup.entry_id;
}

json change_json(const cache::Lookup& lookup, const cache::Replayed& replayed) {
  json out = lookup_json(lookup);
  out["would"] = word_of(replayed.outcome);
  out["would_reason"] = replayed.reason;
  out["served"] = replayed.served == nullptr ? json() : near_json(*replayed.served);
  return out;
}

json store_json(const cache::CacheStats& stats) {
  json store = {{"kind", stats.shared ? "redis" : "embedded"}};
  if (const auto& shared = stats.shared) {
    store["connected"] = shared->connected;
    store["away_ms"] = shared->away.count();
    store["disconnects"] = shared->disconnects;
    store["reconnects"] = shared->reconnects;
    store["reloads"] = shared->reloads;
    store["lag_ms"] = shared->lag.count();
    store["from_others"] = shared->from_others;
    store["damaged"] = shared->damaged;
  }
  return store;
}

}  // namespace

HttpResponse cache_stats(const cache::ResponseCache& cache) {
  const cache::CacheStats stats = cache.stats();
  json reasons = json::object();
  for (const auto& [reason, count] : cache.lookups().reasons_of_misses()) reasons[std::string(reason)] = count;
  return json_response({{"entries", stats.entries},
                        {"bytes", stats.bytes},
                        {"partitions", stats.partitions},
                        {"vectors", stats.vectors},
                        {"exact_hits", stats.exact_hits},
                        {"semantic_hits", stats.semantic_hits},
                        {"misses", stats.misses},
                        {"reasons", std::move(reasons)},
                        {"stored", stats.stored},
                        {"store_failures", stats.store_failures},
                        {"expired", stats.expired},
                        {"evicted", stats.evicted},
                        {"invalidated", stats.invalidated},
                        {"removals_owed", stats.removals_owed},
                        {"corrupt", stats.corrupt},
                        {"store", store_json(stats)}});
}

HttpResponse cache_entries(const cache::ResponseCache& cache, const HttpRequest& request) {
  const auto offset = read_number(request, "offset", 0, SIZE_MAX);
  if (!offset) return error_response(offset.error());
  const auto limit = read_number(request, "limit", 50, kMostEntries);
  if (!limit) return error_response(limit.error());
  const auto named = [&](const char* name) { return query_value(request.query, name).value_or(""); };
  const cache::EntryFilter filter{named("tenant"), named("model"), named("tag"), named("document"), named("text")};
  const cache::EntryPage page = cache.find_entries(filter, *offset, *limit);
  json list = json::array();
  for (const auto& entry : page.entries) list.push_back(entry_json(*entry));
  return json_response({{"entries", std::move(list)}, {"offset", *offset}, {"total", page.total}});
}

HttpResponse cache_entry(const cache::Entry& entry) {
  json out = entry_json(entry);
  json choices = json::array();
  for (const auto& choice : entry.answer.choices) {
    choices.push_back({{"content", choice.content}, {"finish_reason", choice.finish_reason}});
  }
  out["choices"] = std::move(choices);
  return json_response(out);
}

HttpResponse cache_lookups(const cache::ResponseCache& cache, const HttpRequest& request) {
  const cache::LookupLog& log = cache.lookups();
  const auto limit = read_number(request, "limit", 100, log.capacity());
  if (!limit) return error_response(limit.error());
  json list = json::array();
  for (cache::Lookup& lookup : log.newest(*limit)) {
    cache::compare_guards(lookup, kComparedFrom, log);
    json item = lookup_json(lookup);
    item["threshold"] = rounded(lookup.policy.threshold);
    item["policy"] = lookup.policy.guards ? "guarded" : "threshold";
    item["entry"] = lookup.entry_id.empty() ? json() : json(lookup.entry_id);
    item["nearest"] = json::array();
    for (const cache::NearEntry& near : lookup.nearest) item["nearest"].push_back(near_json(near));
    list.push_back(std::move(item));
  }
  return json_response({{"lookups", std::move(list)},
                        {"total", log.total()},
                        {"capacity", log.capacity()},
                        {"questions", log.keeps_questions()}});
}

HttpResponse cache_replay(const cache::ResponseCache& cache, const HttpRequest& request) {
  const cache::LookupLog& log = cache.lookups();
  const auto policy = read_policy(request);
  if (!policy) return error_response(policy.error());
  const auto limit = read_number(request, "limit", log.capacity(), log.capacity());
  if (!limit) return error_response(limit.error());
  Tally was;
  Tally would;
  std::uint64_t changes = 0;
  json changed = json::array();
  std::vector<cache::Lookup> lookups = log.newest(*limit);
  for (cache::Lookup& lookup : lookups) {
    if (policy->guards) cache::compare_guards(lookup, policy->threshold, log);
    const cache::Replayed replayed = cache::replay(lookup, *policy);
    was.add(lookup.outcome);
    if (!replayed.known) {
      ++would.unknown;
      continue;
    }
    would.add(replayed.outcome);
    if (!is_another(lookup, replayed)) continue;
    if (changes++ < kMostChanges) changed.push_back(change_json(lookup, replayed));
  }
  json expected = would.to_json();
  expected["unknown"] = would.unknown;
  return json_response({{"threshold", rounded(policy->threshold)},
                        {"policy", policy->guards ? "guarded" : "threshold"},
                        {"lookups", lookups.size()},
                        {"was", was.to_json()},
                        {"would", std::move(expected)},
                        {"changes", changes},
                        {"changed", std::move(changed)}});
}

}  // namespace kvasir::gateway
