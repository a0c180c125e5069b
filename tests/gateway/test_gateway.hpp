// A gateway over real sockets with an engine that a test plays, and a cache whose store a test can hold up.
#pragma once

#include "gateway/admin_handler.hpp"
#include "gateway/api_handler.hpp"
#include "gateway/engine_backend.hpp"
#include "gateway/http_server.hpp"
#include "gateway/io_threads.hpp"
#include "tests/gateway/test_client.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace kvasir::gateway {

// Requests wait in `calls` until the test plays the engine; with `reply` set they are answered at once.
class PlayedEngine final : public engine::Engine {
 public:
  struct Call {
    engine::GenerateRequest request;
    std::shared_ptr<engine::GenerateListener> listener;
    RequestId id = 0;
  };

  RequestId submit(engine::GenerateRequest request, std::shared_ptr<engine::GenerateListener> listener) override {
    std::unique_lock lock(mutex_);
    const RequestId id = calls_.size() + 1;
    calls_.push_back({std::move(request), listener, id});
    changed_.notify_all();
    const auto reply = reply_;
    lock.unlock();
    if (reply) reply(*listener);
    return id;
  }
  void cancel(RequestId id) override {
    const std::lock_guard lock(mutex_);
    cancelled_.push_back(id);
    changed_.notify_all();
  }
  std::uint64_t invalidate(const std::vector<std::string>& keys) override { return keys.size(); }
  engine::EngineStats stats() const override { return {}; }
  int context_length() const override { return 2048; }
  std::string chat_template() const override { return {}; }
  std::vector<std::string> adapters() const override { return {}; }

  // The n-th request (from 0), once it is there.
  Call call(std::size_t index) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [&] { return calls_.size() > index; }));
    return calls_.at(index);
  }
  std::size_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_.size();
  }
  bool wait_for_cancel(RequestId id) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return std::find(cancelled_.begin(), cancelled_.end(), id) != cancelled_.end(); });
  }
  bool any_cancelled() {
    const std::lock_guard lock(mutex_);
    return !cancelled_.empty();
  }
  void reply_with(std::function<void(engine::GenerateListener&)> reply) {
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Call> calls_;
  std::vector<RequestId> cancelled_;
  std::function<void(engine::GenerateListener&)> reply_;
};

inline void speak(engine::GenerateListener& listener, const std::vector<std::string>& words,
                  engine::FinishReason reason = engine::FinishReason::stop) {
  listener.started(10, 0);
  for (const auto& word : words) listener.delta(word, {});
  engine::GenerateSummary summary;
  summary.finish = reason;
  summary.prompt_tokens = 10;
  summary.computed_tokens = 10;
  summary.completion_tokens = static_cast<int>(words.size());
  listener.finished(summary);
}

// The real cache, kept in memory; while held, nothing is reported as stored.
class HeldCache final : public cache::ResponseCache {
 public:
  explicit HeldCache(std::unique_ptr<cache::ResponseCache> inner) : inner_(std::move(inner)) {}

  cache::Decision find_exact(const cache::CacheKey& key, const cache::LookupLimits& limits) override {
    if (broken_) throw std::runtime_error("a bug");
    return inner_->find_exact(key, limits);
  }
  cache::Decision find_semantic(const cache::CacheKey& key, std::span<const float> vector,
                                const cache::LookupLimits& limits) override {
    return inner_->find_semantic(key, vector, limits);
  }
  std::string new_entry_id() override { return inner_->new_entry_id(); }
  void store(std::string id, cache::CacheKey key, cache::Answer answer, std::vector<float> vector,
             std::chrono::seconds ttl, std::vector<std::string> tags, std::uint64_t generation,
             std::function<void(bool)> done) override {
    auto report = [this, done = std::move(done)](bool stored) {
      stored = stored && !failing_;
      std::unique_lock lock(mutex_);
      if (held_) {
        waiting_.push_back([done, stored] { done(stored); });
        return;
      }
      lock.unlock();
      done(stored);
    };
    inner_->store(std::move(id), std::move(key), std::move(answer), std::move(vector), ttl, std::move(tags), generation,
                  std::move(report));
  }
  std::uint64_t generation() const override { return inner_->generation(); }
  std::uint64_t invalidate(const cache::Invalidation& what) override { return inner_->invalidate(what); }
  bool erase(const std::string& entry_id) override { return inner_->erase(entry_id); }
  cache::EntryPtr entry(const std::string& entry_id) const override { return inner_->entry(entry_id); }
  std::vector<cache::EntryPtr> entries(std::size_t offset, std::size_t limit) const override {
    return inner_->entries(offset, limit);
  }
  cache::EntryPage find_entries(const cache::EntryFilter& filter, std::size_t offset,
                                std::size_t limit) const override {
    return inner_->find_entries(filter, offset, limit);
  }
  const cache::LookupLog& lookups() const override { return inner_->lookups(); }
  cache::CacheStats stats() const override { return inner_->stats(); }

  // From now on nothing can be stored, says the cache.
  void fail() { failing_ = true; }
  // Whether exact look-ups throw.
  void break_lookups(bool broken) { broken_ = broken; }
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void release() {
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard lock(mutex_);
      held_ = false;
      waiting.swap(waiting_);
    }
    for (auto& report : waiting) report();
  }

 private:
  std::mutex mutex_;
  bool held_ = false;
  std::atomic<bool> failing_{false};
  std::atomic<bool> broken_{false};
  std::vector<std::function<void()>> waiting_;
  std::unique_ptr<cache::ResponseCache> inner_;  // last: its thread may still report
};

// Texts that begin alike are alike: the vector points where the first letter says.
class FirstLetterEmbedder final : public embed::Embedder {
 public:
  const std::string& identity() const override { return identity_; }
  int dimension() const override { return 26; }
  // Nothing but '~' is unknown.
  bool sees_all(std::string_view text) const override { return text.find('~') == std::string_view::npos; }
  std::vector<float> embed(std::span<const std::string_view> texts) override {
    std::vector<float> rows;
    for (const auto text : texts) {
      std::vector<float> row(26, 0.0F);
      row[static_cast<std::size_t>(text.empty() ? 0 : (text[0] | 32) - 'a') % 26] = 1.0F;
      rows.insert(rows.end(), row.begin(), row.end());
    }
    return rows;
  }
  // A token a byte, up to eight of them.
  int max_tokens() const override { return 8; }
  Tokens tokenize(std::string_view text) const override { return {text.begin(), text.end()}; }
  Tokens complete(std::span<const std::int32_t> ids) const override {
    const bool known = std::all_of(ids.begin(), ids.end(), [](std::int32_t id) { return id >= 0 && id < 128; });
    return known ? Tokens(ids.begin(), ids.end()) : Tokens{};
  }
  std::vector<float> embed_tokens(std::span<const Tokens> inputs) override {
    std::vector<float> rows;
    for (const Tokens& tokens : inputs) {
      const std::string text(tokens.begin(), tokens.end());
      const std::string_view view = text;
      const auto row = embed({&view, 1});
      rows.insert(rows.end(), row.begin(), row.end());
    }
    return rows;
  }

 private:
  std::string identity_ = "first-letter";
};

class TestGateway {
 public:
  explicit TestGateway(std::vector<KeySettings> keys = {}, HttpLimits limits = {},
                       std::unique_ptr<Backend> other = nullptr,
                       std::chrono::milliseconds stream_keepalive = std::chrono::seconds(15))
      : log_(null_.descriptor, true, metrics_), questions_(&embedder_), io_(std::make_unique<IoThreads>(2)) {
    cache::CacheSettings settings;
    settings.path = ":memory:";
    settings.guards = false;
    std::string error;
    cache_ = std::make_unique<HeldCache>(
        cache::ResponseCache::open(settings, embedder_.identity(), embedder_.dimension(), error));
    auto played = std::make_unique<PlayedEngine>();
    engine = played.get();
    std::vector<ModelTable::Model> models;
    models.push_back({"played", std::make_unique<EngineBackend>("played", std::move(played))});
    if (other) models.push_back({"upstream", std::move(other)});
    Settings whole;
    whole.keys = std::move(keys);
    whole.cache = settings;
    KeyRing ring(whole.keys);
    live = std::make_unique<LiveSnapshot>(std::make_shared<const Snapshot>(
        Snapshot{std::move(whole), std::move(ring), ModelTable(std::move(models), "played")}));
    chat_ = std::make_unique<ChatService>(*cache_, questions_);
    responses_ = ResponseStore::open(":memory:", {}, error);
    Services services{&state, live.get(), chat_.get(), cache_.get(), &metrics_, &log_};
    services.stream_keepalive = stream_keepalive;
    services.embedder = &questions_;
    services.embedding_name = "first-letter";
    services.responses = responses_.get();
    api_ = std::make_unique<ApiHandler>(services);
    server = HttpServer::bind(*io_, 2, {"127.0.0.1", 0}, *api_, HttpServerOptions{limits}, error);
    EXPECT_TRUE(server) << error;
    services.connections = &server->counters();
    admin_ = std::make_unique<AdminHandler>(services, [] {});
    admin_server_ = HttpServer::bind(*io_, 1, {"127.0.0.1", 0}, *admin_, HttpServerOptions{limits}, error);
    EXPECT_TRUE(admin_server_) << error;
    admin_server_->start();
    server->start();
    io_->start();
    state.ready = true;
  }
  ~TestGateway() {
    cache_->release();
    io_->stop();
    admin_->stop();
    questions_.stop();
    responses_->stop();
    live->close_backends();
    cache_.reset();
    server->release();
    admin_server_->release();
    io_.reset();
  }

  int port() const { return server->address().port; }
  int admin_port() const { return admin_server_->address().port; }
  HeldCache& cache() { return *cache_; }

  ServerState state;
  PlayedEngine* engine = nullptr;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<LiveSnapshot> live;

 private:
  struct NullDevice {
    NullDevice() : descriptor(::open("/dev/null", O_WRONLY)) {}
    ~NullDevice() { ::close(descriptor); }
    NullDevice(const NullDevice&) = delete;
    NullDevice& operator=(const NullDevice&) = delete;
    int descriptor;
  };

  NullDevice null_;  // before the log, which writes what is left when it ends
  Metrics metrics_;
  RequestLog log_;
  FirstLetterEmbedder embedder_;
  std::unique_ptr<HeldCache> cache_;
  QuestionEmbedder questions_;
  std::unique_ptr<ResponseStore> responses_;
  std::unique_ptr<ChatService> chat_;
  std::unique_ptr<ApiHandler> api_;
  std::unique_ptr<AdminHandler> admin_;
  std::unique_ptr<HttpServer> admin_server_;
  std::unique_ptr<IoThreads> io_;
};

inline std::string chat(const std::string& question, const std::string& more = "") {
  return R"({"messages":[{"role":"user","content":")" + question + R"("}])" + more + "}";
}
inline constexpr const char* kChat = "/v1/chat/completions";

inline TestResponse post(const TestGateway& gateway, const std::string& path, const std::string& body,
                         const std::string& headers = "") {
  TestClient client(gateway.port());
  client.post(path, body, headers);
  return client.response();
}

}  // namespace kvasir::gateway
