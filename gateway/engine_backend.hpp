// The engine in this process as a backend.
#pragma once

#include "gateway/backend.hpp"

namespace kvasir::gateway {

class EngineBackend final : public Backend {
 public:
  // `name`: the model's name in answers.
  EngineBackend(std::string name, std::unique_ptr<engine::Engine> engine)
      : name_(std::move(name)), engine_(std::move(engine)) {}

  std::optional<ApiError> check(const ChatRequest& request) const override;
  std::string place() const override { return "engine"; }
  void start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) override;
  std::uint64_t invalidate(const std::vector<std::string>& document_keys) override {
    return engine_->invalidate(document_keys);
  }
  std::optional<engine::EngineStats> engine_stats() const override { return engine_->stats(); }
  void close() override { engine_.reset(); }

 private:
  std::string name_;
  std::shared_ptr<engine::Engine> engine_;  // only owner; flights that outlive it find it gone
};

}  // namespace kvasir::gateway
