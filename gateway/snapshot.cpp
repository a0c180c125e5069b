#include "gateway/snapshot.hpp"

#include "gateway/engine_backend.hpp"
#include "gateway/upstream_backend.hpp"

namespace kvasir::gateway {
namespace {

std::shared_ptr<Backend> open_backend(const ModelSettings& model, const UpstreamHooks& hooks, std::string& error) {
  if (!model.engine) return UpstreamBackend::make(model, hooks, error);
  auto engine = engine::Engine::load(*model.engine);
  if (!engine) {
    error = "model " + model.name + ": " + engine.error().message;
    return nullptr;
  }
  if (const std::string chat = (*engine)->chat_template(); !chat.empty() && hooks.log)
    hooks.log("model " + model.name + " uses the chat template '" + chat + "', which is not its file's");
  return std::make_shared<EngineBackend>(model.name, std::move(*engine));
}

// The backend of the same settings that runs already; null: there is none. A price or a mode of the cache changes no
// backend.
std::shared_ptr<Backend> running_backend(ModelSettings model, const Snapshot* before) {
  if (before == nullptr) return nullptr;
  for (ModelSettings known : before->settings.models) {
    known.price = model.price;
    known.documents = model.documents;
    if (known == model) return before->models.find(model.name)->backend;
  }
  return nullptr;
}

}  // namespace

SnapshotPtr make_snapshot(Settings settings, const UpstreamHooks& hooks, SpendLedger* ledger, const Snapshot* before,
                          std::string& error) {
  std::vector<ModelTable::Model> models;
  for (const ModelSettings& model : settings.models) {
    auto backend = running_backend(model, before);
    if (!backend) backend = open_backend(model, hooks, error);
    if (!backend) return nullptr;
    const auto adapted = backend->adapted();
    const auto documents = model.documents.value_or(settings.cache.documents);
    models.push_back({model.name, std::move(backend), model.price, documents});
    for (const Backend::Named& one : adapted) models.push_back({one.name, one.backend, model.price, documents});
  }
  KeyRing keys(settings.keys, ledger, before == nullptr ? nullptr : &before->keys);
  ModelTable table(std::move(models), settings.default_model);
  auto patterns = rag::ContextPatterns::with(settings.context_patterns);
  cache::QuestionJudge judge(settings.cache.rules);
  return std::make_shared<const Snapshot>(
      Snapshot{std::move(settings), std::move(keys), std::move(table), std::move(patterns), std::move(judge)});
}

}  // namespace kvasir::gateway
