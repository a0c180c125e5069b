// Any OpenAI-compatible server as a backend: connections are kept per I/O thread, SSE passes on as it arrives.
#pragma once

#include "gateway/backend.hpp"
#include "gateway/settings.hpp"
#include "gateway/upstream_connection.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace kvasir::gateway {

class UpstreamBackend final : public Backend {
 public:
  // Null if base_url is no URL or TLS cannot be set up; one sentence in `error`.
  static std::unique_ptr<UpstreamBackend> make(const std::string& name, const UpstreamSettings& settings,
                                               std::string& error);

  std::optional<ApiError> check(const ChatRequest& request) const override;
  bool keeps_shape() const override { return true; }
  std::string place() const override { return url_.authority(); }
  void start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) override;
  void close() override;

 private:
  struct Call;
  struct Head;

  UpstreamBackend(UpstreamSettings settings, UpstreamUrl url);
  Task<void> run(std::shared_ptr<Call> call);
  Task<ErrorCode> exchange(Call& call, const std::string& request, Head& head);
  Task<void> read_body(Call& call, Head& head);
  Task<void> read_stream(Call& call, Head& head);
  Task<void> finish_stream(Call& call, Head& head);
  std::string request_text(const Call& call) const;
  std::unique_ptr<UpstreamConnection> take_idle(Executor executor);
  void give_back(Executor executor, std::unique_ptr<UpstreamConnection> connection);

  UpstreamSettings settings_;
  UpstreamUrl url_;
  asio::ssl::context tls_;
  std::mutex mutex_;
  std::map<asio::execution_context*, std::vector<std::unique_ptr<UpstreamConnection>>> idle_;
  std::shared_ptr<std::atomic<bool>> closed_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace kvasir::gateway
