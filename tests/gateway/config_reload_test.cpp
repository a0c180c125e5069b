#include "gateway/config_reload.hpp"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

ModelSettings upstream(const std::string& name, const std::string& url = "http://127.0.0.1:1/v1") {
  ModelSettings model;
  model.name = name;
  model.upstreams.emplace_back().base_url = url;
  return model;
}

ModelSettings in_process(const std::string& name, const std::string& file) {
  ModelSettings model;
  model.name = name;
  model.engine.emplace();
  model.engine->gguf = file;
  return model;
}

Settings settings(std::vector<ModelSettings> models) {
  Settings settings;
  settings.cache.semantic = false;
  settings.models = std::move(models);
  return settings;
}

std::vector<std::string> names(const Settings& settings) {
  std::vector<std::string> names;
  for (const auto& model : settings.models) names.push_back(model.name);
  return names;
}

TEST(LiveChange, takes_keys_thresholds_upstreams_and_prices) {
  const Settings running = settings({upstream("a"), upstream("b")});
  Settings wanted = settings({upstream("b", "http://127.0.0.1:2/v1"), upstream("c")});
  wanted.keys = {{"k", kAbc}};
  wanted.cache.threshold = 0.9F;
  wanted.cache.ttl = std::chrono::hours(1);
  wanted.server.log_prompts = true;
  const LiveChange change = live_part(running, wanted);
  EXPECT_THAT(change.waiting, IsEmpty());
  EXPECT_THAT(names(change.settings), ElementsAre("b", "c"));
  EXPECT_EQ(change.settings.models[0].upstreams[0].base_url, "http://127.0.0.1:2/v1");
  EXPECT_EQ(change.settings.keys.size(), 1U);
  EXPECT_FLOAT_EQ(change.settings.cache.threshold, 0.9F);
  EXPECT_TRUE(change.settings.server.log_prompts);
}

TEST(LiveChange, names_what_waits_for_a_restart_and_keeps_it) {
  const Settings running = settings({upstream("a")});
  Settings wanted = running;
  wanted.server.listen.port = 1;
  wanted.server.threads = 7;
  wanted.cache.path = "/elsewhere";
  wanted.embedding_model = "/folder";
  wanted.embedding_name = "minilm";
  wanted.responses.ttl = std::chrono::hours(1);
  wanted.responses.max_bytes = 1 << 20;
  const LiveChange change = live_part(running, wanted);
  EXPECT_THAT(change.waiting, ElementsAre("server.listen", "server.threads", "embedding.model", "embedding.name",
                                          "cache.store.path", "responses.ttl", "responses.max_bytes"));
  EXPECT_EQ(change.settings.server.listen, running.server.listen);
  EXPECT_EQ(change.settings.server.threads, running.server.threads);
  EXPECT_EQ(change.settings.cache.path, running.cache.path);
  EXPECT_EQ(change.settings.responses.ttl, running.responses.ttl);
}

TEST(LiveChange, leaves_models_in_process_as_they_were_loaded_but_for_the_price) {
  const Settings running = settings({in_process("changed", "old"), in_process("gone", "x"), upstream("u")});
  Settings wanted = settings({in_process("changed", "new"), in_process("added", "y"), upstream("u")});
  wanted.models[0].price.input = 5;
  wanted.default_model = "added";
  const LiveChange change = live_part(running, wanted);
  EXPECT_THAT(change.waiting, ElementsAre("models[changed]", "models[added]", "models[gone]", "default_model"));
  EXPECT_THAT(names(change.settings), ElementsAre("changed", "u", "gone"));
  EXPECT_EQ(change.settings.models[0].engine->gguf, "old");
  EXPECT_EQ(change.settings.models[0].price.input, 5);
  EXPECT_EQ(change.settings.default_model, "");
}

class Reload : public testing::Test {
 protected:
  Reload() : null_(::open("/dev/null", O_WRONLY)), log_(null_, true, metrics_) {
    folder_ = std::filesystem::temp_directory_path() / ("kvasir-reload-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    write("");
    std::string error;
    const Config config = load_config(path(), process_environment());
    Settings first = config.settings;
    first.embedding_model.clear();
    first.cache.semantic = false;
    live_ = std::make_unique<LiveSnapshot>(make_snapshot(first, {}, nullptr, nullptr, error));
    reload_ = std::make_unique<ConfigReload>(path(), *live_, UpstreamHooks{}, nullptr, metrics_, log_);
  }
  ~Reload() override {
    std::filesystem::remove_all(folder_);
    ::close(null_);
  }
  std::string path() const { return (folder_ / "kvasir.yaml").string(); }
  void write(const std::string& more) const {
    std::ofstream(path()) << "models: [{name: m, upstream: {base_url: 'http://127.0.0.1:1/v1'}}]\n"
                          << "auth: {keys: [{name: k, sha256: " << kAbc << ", requests_per_minute: 5}]}\n"
                          << more;
  }
  std::string metrics() const {
    std::string text;
    metrics_.append(text);
    return text;
  }

  std::filesystem::path folder_;
  int null_;
  Metrics metrics_;
  RequestLog log_;
  std::unique_ptr<LiveSnapshot> live_;
  std::unique_ptr<ConfigReload> reload_;
};

TEST_F(Reload, swaps_the_snapshot_and_keeps_levels_and_backends_that_did_not_change) {
  const SnapshotPtr before = live_->get();
  before->keys.find("Bearer abc")->requests->take(3);
  write("cache: {semantic: {threshold: 0.5}}\n");
  ASSERT_TRUE(reload_->reload());
  const SnapshotPtr after = live_->get();
  EXPECT_NE(after, before);
  EXPECT_FLOAT_EQ(after->settings.cache.threshold, 0.5F);
  EXPECT_FLOAT_EQ(before->settings.cache.threshold, cache::guarded_threshold)
      << "running requests see what they began with";
  EXPECT_EQ(after->keys.find("Bearer abc")->requests->state().remaining, 2);
  EXPECT_EQ(after->models.find("m")->backend, before->models.find("m")->backend);
}

TEST_F(Reload, changes_nothing_when_the_file_is_bad) {
  const SnapshotPtr before = live_->get();
  write("nonsense: true\n");
  EXPECT_FALSE(reload_->reload());
  EXPECT_EQ(live_->get(), before);
  EXPECT_THAT(metrics(), testing::HasSubstr("kvasir_config_reload_success 0\n"));
  write("");
  EXPECT_TRUE(reload_->reload());
  EXPECT_THAT(metrics(), testing::HasSubstr("kvasir_config_reload_success 1\n"));
}

TEST_F(Reload, sees_a_change_once_the_file_has_rested) {
  EXPECT_FALSE(reload_->changed());
  write("cache: {ttl: 1h}\n");
  EXPECT_FALSE(reload_->changed()) << "it may still be written";
  EXPECT_TRUE(reload_->changed());
  EXPECT_TRUE(reload_->reload());
  EXPECT_FALSE(reload_->changed());
  std::filesystem::remove(path());
  EXPECT_FALSE(reload_->changed());
  EXPECT_FALSE(reload_->changed());
}

}  // namespace
}  // namespace kvasir::gateway
