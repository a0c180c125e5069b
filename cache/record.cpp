#include "cache/record.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace kvasir::cache {
namespace {

// Of an entry in the tiers and in the index, besides its texts and its vector.
constexpr std::size_t kOverhead = 1024;

bool was_cut(const Answer& answer) {
  return std::ranges::any_of(answer.choices, [](const AnswerChoice& c) { return c.finish_reason == "length"; });
}

// An answer that ended by itself fits into every limit above its length; one that was cut fits into its own limit, and
// so does one whose length nobody told.
bool fits_limit(const Entry& entry, bool cut, int max_tokens) {
  const bool own_limit = entry.key.max_tokens == max_tokens;
  if (cut) return own_limit;
  if (entry.answer.completion_tokens <= 0) return own_limit || max_tokens == 0;
  return max_tokens == 0 || entry.answer.completion_tokens <= max_tokens;
}

// A client may send any age: it is compared in whole seconds, which cannot overflow, and then by the rest.
bool is_older(const Entry& entry, std::chrono::seconds max_age, Clock::time_point now) {
  const Clock::duration age = now - entry.created;
  const auto whole = std::chrono::floor<std::chrono::seconds>(age);
  return whole == max_age ? age > whole : whole > max_age;
}

bool brings(const CacheKey& request, const rag::ContentId& document) {
  return std::ranges::find(request.document_ids, document) != request.document_ids.end();
}

// An answer without documents knew nothing of those that a request brings.
bool uses_some_of(const CacheKey& entry, const CacheKey& request) {
  if (entry.document_ids.empty() != request.document_ids.empty()) return false;
  return std::ranges::all_of(entry.document_ids, [&](const rag::ContentId& used) { return brings(request, used); });
}

bool uses_changed(const CacheKey& entry, const CacheKey& request) {
  for (std::size_t i = 0; i < entry.documents.size() && i < entry.document_ids.size(); ++i) {
    const bool named = std::ranges::find(request.documents, entry.documents[i]) != request.documents.end();
    if (named && !brings(request, entry.document_ids[i])) return true;
  }
  return false;
}

bool fits_documents(const CacheKey& entry, const CacheKey& request) {
  switch (request.document_mode) {
    case DocumentMode::same:
      return true;  // their set is in the key
    case DocumentMode::superset:
      return uses_some_of(entry, request);
    case DocumentMode::ignore:
      return !uses_changed(entry, request);
  }
  return false;
}

}  // namespace

Record::Record(Entry stored, std::size_t vector_bytes)
    : cut(was_cut(stored.answer)),
      bytes(bytes_of(stored) + vector_bytes + kOverhead),
      cost(cost_of(stored.answer)),
      entry(std::move(stored)) {}

float cost_of(const Answer& answer) {
  constexpr float written = 4;
  constexpr float bytes_a_token = 4;
  const auto tokens = answer.completion_tokens > 0 ? static_cast<float>(answer.completion_tokens)
                                                   : static_cast<float>(bytes_of(answer)) / bytes_a_token;
  return 1 + static_cast<float>(std::max(answer.prompt_tokens, 0)) + written * tokens;
}

std::string_view objection(const Record& record, const Admission& request) {
  const Entry& entry = record.entry;
  if (entry.expires <= request.now) return "expired";
  if (request.limits.max_age && is_older(entry, *request.limits.max_age, request.now)) return "max_age";
  if (!fits_limit(entry, record.cut, request.key.max_tokens)) return "max_tokens";
  if (!fits_documents(entry.key, request.key)) return "documents";
  if (request.key.top_logprobs >= 0 && request.key.top_logprobs != entry.key.top_logprobs) return "logprobs";
  return {};
}

std::size_t bytes_of(const Answer& answer) {
  std::size_t bytes = answer.model.size() + answer.system_fingerprint.size();
  for (const AnswerChoice& choice : answer.choices) {
    bytes += choice.content.size() + choice.refusal.size() + choice.finish_reason.size() + choice.logprobs.size() +
             choice.reasoning.size();
  }
  return bytes;
}

std::size_t bytes_of(const Entry& entry) {
  std::size_t bytes = bytes_of(entry.answer) + entry.key.canonical.size() + entry.key.question.size();
  for (const std::string& document : entry.key.documents) bytes += document.size();
  bytes += entry.key.document_ids.size() * sizeof(rag::ContentId);
  for (const std::string& tag : entry.tags) bytes += tag.size();
  return bytes;
}

bool is_complete(const CacheKey& key, const Answer& answer) {
  return !answer.choices.empty() && std::ranges::all_of(answer.choices, [&](const AnswerChoice& choice) {
    return choice.finish_reason == "stop" || (choice.finish_reason == "length" && key.max_tokens > 0);
  });
}

bool replaces(const Entry& newer, const Entry& older) {
  if (!fits_documents(newer.key, older.key)) return false;
  if (older.key.top_logprobs >= 0 && newer.key.top_logprobs != older.key.top_logprobs) return false;
  if (was_cut(older.answer)) return was_cut(newer.answer) && newer.key.max_tokens == older.key.max_tokens;
  if (was_cut(newer.answer)) return false;
  const int length = newer.answer.completion_tokens;
  // One of unknown length serves its own limit and none.
  if (older.answer.completion_tokens <= 0) return fits_limit(newer, false, older.key.max_tokens);
  return length > 0 && length <= older.answer.completion_tokens;
}

}  // namespace kvasir::cache
