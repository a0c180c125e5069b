// The engine in this process as a backend.
#pragma once

#include "gateway/backend.hpp"
#include "gateway/remembered_prompts.hpp"
#include "gateway/settings.hpp"

namespace kvasir::gateway {

class EngineBackend final : public Backend {
 public:
  // `name`: the model's name in answers.
  EngineBackend(std::string name, std::unique_ptr<engine::Engine> engine)
      : base_(std::move(name)), name_(base_), engine_(std::move(engine)) {}
  // `base` with an adapter of its engine.
  EngineBackend(const EngineBackend& base, const std::string& adapter)
      : base_(base.base_), name_(adapted_name(base_, adapter)), engine_(base.engine_), adapter_(adapter) {}

  std::optional<ApiError> check(const ChatRequest& request, const std::string& tenant) override;
  std::vector<std::string> also_uses(const ChatRequest& request) const override;
  std::string place() const override { return "engine"; }
  void start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) override;
  void remember(const std::string& tenant, std::string_view answer_id, const FlightResult& result,
                std::chrono::seconds ttl) override {
    prompts_.remember(tenant, answer_id, result.prompts, ttl);
  }
  // The engine is the base model's in both: nothing is counted or removed twice.
  std::uint64_t invalidate(const std::vector<std::string>& document_keys) override {
    return adapter_ ? 0 : engine_->invalidate(document_keys);
  }
  std::optional<engine::EngineStats> engine_stats() const override {
    return adapter_ ? std::nullopt : std::optional(engine_->stats());
  }
  std::vector<Named> adapted() const override;
  void close() override { engine_.reset(); }

 private:
  std::string base_;  // the model's name without an adapter
  std::string name_;
  // Owned here and by the same engine's other backends only; flights that outlive it find it gone.
  std::shared_ptr<engine::Engine> engine_;
  std::optional<std::string> adapter_;
  RememberedPrompts prompts_;
};

}  // namespace kvasir::gateway
