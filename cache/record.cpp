#include "cache/record.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::cache {
namespace {

bool was_cut(const Answer& answer) {
  return std::ranges::any_of(answer.choices, [](const AnswerChoice& c) { return c.finish_reason == "length"; });
}

// An answer that ended by itself fits into every limit above its length; one that was cut fits into its own limit.
bool fits_limit(const Record& record, int max_tokens) {
  const Entry& entry = record.entry;
  if (record.cut) return entry.key.max_tokens == max_tokens;
  return max_tokens == 0 || entry.answer.completion_tokens <= max_tokens;
}

}  // namespace

Record::Record(Entry stored) : cut(was_cut(stored.answer)), entry(std::move(stored)) {}

std::string_view objection(const Record& record, const Admission& request) {
  const Entry& entry = record.entry;
  if (entry.expires <= request.now) return "expired";
  if (request.limits.max_age && entry.created + *request.limits.max_age < request.now) return "max_age";
  if (!fits_limit(record, request.key.max_tokens)) return "max_tokens";
  if (request.key.top_logprobs >= 0 && request.key.top_logprobs != entry.key.top_logprobs) return "logprobs";
  return {};
}

bool is_complete(const CacheKey& key, const Answer& answer) {
  return !answer.choices.empty() && std::ranges::all_of(answer.choices, [&](const AnswerChoice& choice) {
    return choice.finish_reason == "stop" || (choice.finish_reason == "length" && key.max_tokens > 0);
  });
}

bool replaces(const Entry& newer, const Entry& older) {
  if (older.key.top_logprobs >= 0 && newer.key.top_logprobs != older.key.top_logprobs) return false;
  if (was_cut(older.answer)) return was_cut(newer.answer) && newer.key.max_tokens == older.key.max_tokens;
  return !was_cut(newer.answer) && newer.answer.completion_tokens <= older.answer.completion_tokens;
}

}  // namespace kvasir::cache
