// The response cache: was this asked before, in these words or in others, and may its answer be served again?
//
// Comes in: a request as plain structs, and a vector of its question. Goes out: a decision with its reason. Never: JSON
// requests, HTTP, an embedder call. A wrong hit is worse than a miss: whatever is uncertain is a miss.
#pragma once

#include "cache/redis_settings.hpp"
#include "rag/prompt.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

using Clock = std::chrono::system_clock;

// Which documents an answer may have come from, for a request that brings some of its own.
enum class DocumentMode : std::uint8_t {
  same,      // the same set, in any order
  superset,  // some of the request's, and at least one; none where it brings none
  ignore     // any, but for another content or version of one of the request's
};
inline constexpr std::array<std::string_view, 3> kDocumentModes = {"same", "superset", "ignore"};

// What must be known of a request to key it.
struct CacheRequest {
  std::string tenant;
  std::string user;  // hashed in when the scope says so; else empty
  std::string model;
  const rag::Prompt* prompt = nullptr;
  DocumentMode documents = DocumentMode::same;
  std::string tools;            // canonical JSON, or empty
  std::string response_format;  // canonical JSON, or empty
  std::vector<std::string> stop;
  std::string logit_bias;  // canonical JSON, or empty
  std::string extra;       // canonical JSON of other fields that change the answer (upstream's own), or empty
  int n = 1;
  std::optional<std::int64_t> seed;
  double temperature = 1.0;
  double top_p = 1.0;
  double frequency_penalty = 0.0;
  double presence_penalty = 0.0;
  int max_tokens = 0;     // 0: no limit
  int top_logprobs = -1;  // -1: none asked for
};

// Two keys of one request. `partition`: whatever must be equal before two questions may be compared at all
// (ARCHITECTURE.md, decision 2). `exact`: the partition and the question's bytes.
struct CacheKey {
  rag::ContentId partition;
  rag::ContentId exact;
  std::string canonical;  // the bytes behind `exact`, compared on a hit
  std::string question;
  std::vector<std::string> documents;          // keys, for invalidation
  std::vector<rag::ContentId> document_ids;    // of each, its version and content included
  std::vector<std::string> document_versions;  // of each; may be empty
  rag::ContentId document_set;                 // of all, in any order
  DocumentMode document_mode = DocumentMode::same;
  std::string tenant;
  std::string model;
  int max_tokens = 0;
  int top_logprobs = -1;
  // Empty if cacheable, else the reason word: "tools", "temperature", "no_question", "too_large"; after
  // judge_question() "personal" and "realtime" too.
  std::string_view not_cacheable;
  bool of_one_user = false;                              // the scope is a user, not the whole tenant
  std::optional<std::chrono::seconds> longest_ttl = {};  // of a question of the moment, where rules let it be kept
  bool judged = false;                                   // judge_question() has seen it: nothing else is stored
  // False when only the exact tier may answer: a question too long to be embedded whole; after judge_question() also
  // one that needs the turns before it.
  bool semantic = true;
  bool follows_up = false;  // there are turns before it
};

// Questions are compared byte by byte after white space around them was taken off. See key.cpp for what is hashed.
CacheKey make_key(const CacheRequest& request);
// Reads the question for what may not be kept (cacheability.hpp). Not part of make_key, because it takes longer than an
// exact look-up, and whatever an exact key finds was judged before it was stored.
void judge_question(CacheKey& key);

// What an operator adds to the built-in rules (data/rules.inc).
struct QuestionRules {
  std::vector<std::string> personal = {};  // phrases, in any case, with or without Vietnamese accents
  std::vector<std::string> realtime = {};
  // Questions of the moment are answered from the cache for so long, instead of never.
  std::optional<std::chrono::seconds> realtime_ttl = {};
};

// judge_question() with an operator's rules. Cheap to copy; any thread.
class QuestionJudge {
 public:
  explicit QuestionJudge(const QuestionRules& rules = {});
  void judge(CacheKey& key) const;

 private:
  struct Extra;
  struct Nature {
    bool personal = false;
    bool of_the_moment = false;
  };
  Nature nature_of(std::string_view question) const;

  std::shared_ptr<const Extra> extra_;
  std::optional<std::chrono::seconds> realtime_ttl_;
};

struct AnswerChoice {
  std::string content;
  std::string refusal;
  std::string finish_reason;         // OpenAI's word
  std::string logprobs;              // JSON of choices[].logprobs as sent, or empty
  std::string reasoning = {};        // what the model thought before, if the upstream told
  std::string reasoning_field = {};  // how the upstream calls it: "reasoning_content" or "reasoning"
};

// A finished answer, in no particular wire shape.
struct Answer {
  std::string model;  // as named in the answer's body
  std::vector<AnswerChoice> choices;
  int prompt_tokens = 0;
  int completion_tokens = 0;  // 0: the upstream did not say
  std::string system_fingerprint;
};

struct Entry {
  std::string id;  // "kve-" and 32 hex digits
  CacheKey key;
  Answer answer;
  std::vector<std::string> tags;
  Clock::time_point created;
  Clock::time_point expires;
};
using EntryPtr = std::shared_ptr<const Entry>;

// Why a look-up ended as it did; the word goes into x-kvasir-cache-reason.
struct Decision {
  EntryPtr entry;                     // null: miss
  std::optional<float> similarity;    // to the nearest entry of the partition, if one was looked up
  std::string_view reason = "empty";  // "hit", "below_threshold", "empty", "expired", "max_age" …
};

// Cosines of all-MiniLM-L6-v2 from which a neighbour may answer: where guards judge it too, and where nothing else
// does. cache/TRUST.md has the measurements behind them; another embedder needs its own.
constexpr float guarded_threshold = 0.75F;
constexpr float bare_threshold = 0.95F;

// Which neighbour may answer.
struct SemanticPolicy {
  float threshold = guarded_threshold;  // cosine; a neighbour below it never answers
  bool guards = true;
};

struct LookupLimits {
  std::optional<std::chrono::seconds> max_age = {};  // Cache-Control: max-age
  std::optional<SemanticPolicy> policy = {};         // instead of the one that the cache was opened with
};

// A document of which this version is the one that counts: answers from any other are outdated.
struct CurrentDocument {
  std::string id;
  std::string version;
};

// `documents`, `current` and `tags` each select answers; `tenant` and `model` restrict the selection, and alone they
// select all of that tenant or model. `all` selects everything that they leave. An empty invalidation selects nothing.
struct Invalidation {
  std::vector<std::string> documents = {};
  std::vector<std::string> tags = {};
  std::string tenant = {};
  std::string model = {};
  bool all = false;
  std::vector<CurrentDocument> current = {};

  // False if tenant and model alone select.
  bool names() const { return !documents.empty() || !tags.empty() || !current.empty(); }
};

// What each field names; an empty one is any.
struct EntryFilter {
  std::string tenant = {};
  std::string model = {};
  std::string tag = {};
  std::string document = {};
  std::string text = {};  // a part of the question; ASCII letters in any case

  bool operator==(const EntryFilter&) const = default;
};
bool matches(const EntryFilter& filter, const Entry& entry);

struct EntryPage {
  std::vector<EntryPtr> entries;
  std::size_t total = 0;  // of all that match
};

class LookupLog;

struct CacheSettings {
  DocumentMode documents = DocumentMode::same;
  bool exact = true;
  bool semantic = true;
  float threshold = guarded_threshold;  // cosine
  bool guards = true;                   // policy "guarded"; false: the threshold alone decides
  std::chrono::seconds ttl{24 * 3600};
  QuestionRules rules = {};
  bool log_questions = true;  // the log of look-ups keeps what was asked, in memory
  std::size_t max_entries = 1'000'000;
  std::size_t max_bytes = std::size_t{4} << 30;  // of texts, vectors and what finds them
  std::string path = "./kvasir-data";            // folder of the embedded store; ":memory:" keeps nothing
  std::optional<RedisSettings> redis = {};       // the store instead of the embedded one
};

// Of a store that other gateways share.
struct SharedStoreStats {
  bool connected = false;  // every change by others is seen
  std::uint64_t disconnects = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t reloads = 0;      // everything was read again, because changes were missed
  std::uint64_t from_others = 0;  // entries that another gateway stored, or that were there at the start
  std::uint64_t damaged = 0;
  std::chrono::milliseconds lag{0};   // from the last change to its being in force here, by Redis' clock and ours
  std::chrono::milliseconds away{0};  // since when not connected
};

struct CacheStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // about, vectors included
  std::uint64_t partitions = 0;
  std::uint64_t vectors = 0;
  std::uint64_t graphs_pending = 0;  // partitions that wait for a graph: searched row by row, the newest only
  std::uint64_t exact_hits = 0;
  std::uint64_t semantic_hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t stored = 0;
  std::uint64_t store_failures = 0;
  std::uint64_t expired = 0;
  std::uint64_t evicted = 0;
  std::uint64_t invalidated = 0;
  // Removals that the disk refused: in force in memory, and tried again before anything else is written. Until this is
  // 0 again, what was removed could come back after a crash.
  std::uint64_t removals_owed = 0;
  std::uint64_t corrupt = 0;  // entries dropped because their checksum was wrong
  std::optional<SharedStoreStats> shared = {};
};

// Told in one sentence what an operator wants to know, on any thread.
using CacheLog = std::function<void(std::string_view)>;

// Thread safe. Look-ups touch memory only; the store is written by one thread of its own.
class ResponseCache {
 public:
  // Opens (or makes) the store and loads what is alive in it. `embedder`: identity and dimension of the vectors;
  // entries stored under another embedder keep serving exact hits and lose their vectors. On failure: null and one
  // sentence in `error` ("the cache store ./kvasir-data cannot be opened: …").
  // A Redis that is away is no failure: the cache begins empty and takes part once it is there.
  static std::unique_ptr<ResponseCache> open(const CacheSettings& settings, const std::string& embedder, int dimension,
                                             std::string& error, CacheLog log = {});
  virtual ~ResponseCache() = default;

  // An entry may know more than was asked for: a request without logprobs can get one that has them, to be left out of
  // the replay. A miss is counted by find_semantic where there is a semantic tier: it is asked after every miss.
  virtual Decision find_exact(const CacheKey& key, const LookupLimits& limits) = 0;
  // `vector`: unit vector of key.question; empty if there is none, which is a miss.
  virtual Decision find_semantic(const CacheKey& key, std::span<const float> vector, const LookupLimits& limits) = 0;

  // A new entry's id, so that headers can name it before the answer is complete.
  virtual std::string new_entry_id() = 0;
  // Stores an answer. `vector` may be empty (exact tier only). `done(true)` is called, on the store's thread, once a
  // killed process would not lose it any more; `done(false)` if it could not be stored or was invalidated meanwhile.
  // Only answers of at most 256 KiB that ended by themselves, or were cut by the caller's own max_tokens, are kept, and
  // only with a `ttl` above 0. While the store lags too far behind, nothing is kept and done(false) is called within
  // this call. A newer answer replaces those of the same exact key that it can stand for.
  // `generation` is what generation() said before the answer was computed: an invalidation in between wins.
  virtual void store(std::string id, CacheKey key, Answer answer, std::vector<float> vector, std::chrono::seconds ttl,
                     std::vector<std::string> tags, std::uint64_t generation, std::function<void(bool)> done) = 0;
  virtual std::uint64_t generation() const = 0;

  // Gone from memory, index and store when these return (a disk that refuses: stats().removals_owed); not to be called
  // from a `done`. Counts answers removed.
  virtual std::uint64_t invalidate(const Invalidation& what) = 0;
  virtual bool erase(const std::string& entry_id) = 0;

  virtual EntryPtr entry(const std::string& entry_id) const = 0;
  // Newest first.
  virtual std::vector<EntryPtr> entries(std::size_t offset, std::size_t limit) const = 0;
  // Newest first. With a filter it walks over all entries, in steps that nobody waits for.
  virtual EntryPage find_entries(const EntryFilter& filter, std::size_t offset, std::size_t limit) const = 0;
  // The last look-ups; lives as long as the cache.
  virtual const LookupLog& lookups() const = 0;
  virtual CacheStats stats() const = 0;
};

}  // namespace kvasir::cache
