// What the cache's tests are written with: requests, answers, vectors and a folder of their own.
#pragma once

#include "cache/response_cache.hpp"
#include "rag/prompt.hpp"

#include <cmath>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace kvasir::cache::test {

inline constexpr int dimension = 8;
inline constexpr const char* embedder = "test-embedder";

// A folder that is gone with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kvasir-cache-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string store() const { return (path_ / "store").string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A chat request with one question, changed field by field.
struct Asked {
  std::string question = "What is a cache?";
  std::string system = "You are helpful.";
  std::vector<rag::Message> history = {};
  std::vector<rag::Document> documents = {};
  CacheRequest request = {};

  Asked() {
    request.tenant = std::string("a");
    request.model = std::string("smollm2");
    request.temperature = 0.0;
  }
  explicit Asked(std::string text) : Asked() { question = std::move(text); }

  CacheKey key() const {
    std::vector<rag::Message> messages = {{rag::Role::system, system, ""}};
    messages.insert(messages.end(), history.begin(), history.end());
    messages.push_back({rag::Role::user, question, ""});
    const rag::Prompt prompt = rag::analyse(std::move(messages), documents);
    CacheRequest asked = request;
    asked.prompt = &prompt;
    CacheKey key = make_key(asked);
    judge_question(key);
    return key;
  }
};

inline Answer answer(std::string text, std::string finish_reason = "stop", int completion_tokens = 10) {
  Answer made;
  made.model = "smollm2";
  made.choices.push_back({std::move(text), "", std::move(finish_reason), ""});
  made.prompt_tokens = 5;
  made.completion_tokens = completion_tokens;
  return made;
}

// A unit vector at `degrees` from the first axis, in the plane of the first and the `axis`-th.
inline std::vector<float> at_angle(double degrees, std::size_t axis = 1) {
  std::vector<float> vector(dimension, 0.0F);
  const double radians = degrees * 3.14159265358979323846 / 180.0;
  vector[0] = static_cast<float>(std::cos(radians));
  vector[axis] = static_cast<float>(std::sin(radians));
  return vector;
}

inline CacheSettings in_memory() {
  CacheSettings settings;
  settings.path = ":memory:";
  return settings;
}

inline std::unique_ptr<ResponseCache> open_cache(const CacheSettings& settings) {
  std::string error;
  std::unique_ptr<ResponseCache> cache = ResponseCache::open(settings, embedder, dimension, error);
  EXPECT_TRUE(cache) << error;
  // It opens without its shared store, too, and goes on connecting: on a busy machine that takes a moment.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (cache && settings.redis && !cache->stats().shared->connected && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return cache;
}

// What may be said about a stored answer beyond the defaults.
struct Storing {
  std::vector<float> vector = {};
  std::chrono::seconds ttl{3600};
  std::vector<std::string> tags = {};
  std::uint64_t generation = 0;
  std::string id = {};
};

// Stores and waits for the acknowledgement. Returns what `done` was told.
inline bool store(ResponseCache& cache, const CacheKey& key, Answer given, Storing how = {}) {
  std::promise<bool> told;
  if (how.id.empty()) how.id = cache.new_entry_id();
  cache.store(std::move(how.id), key, std::move(given), std::move(how.vector), how.ttl, std::move(how.tags),
              how.generation, [&](bool stored) { told.set_value(stored); });
  return told.get_future().get();
}

inline std::string text_of(const Decision& decision) {
  return decision.entry ? decision.entry->answer.choices.at(0).content : "";
}

}  // namespace kvasir::cache::test
