// Other OpenAI-compatible servers as a backend: chat through the cache, and any other endpoint as it is.
#pragma once

#include "gateway/backend.hpp"
#include "gateway/settings.hpp"
#include "gateway/upstream_client.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// A request to any endpoint of an upstream.
struct ForwardCall {
  std::string path;  // behind base_url: "/embeddings"
  std::string body;  // a JSON object, checked before; its `model` is replaced by the upstream's name
  std::string tenant;
  std::string prefix;  // what equal prompts begin with, to find an upstream that knows it; may be empty
  std::string request_id;
  std::string traceparent;  // may be empty
  bool stream = false;
  // As BackendCall's.
  std::shared_ptr<const void> keep_alive = {};
  // cancel() on the executor's thread ends the call early.
  std::shared_ptr<UpstreamCall> control = std::make_shared<UpstreamCall>();
};

struct UpstreamReply {
  std::string body;       // a JSON object or array; empty if streamed
  bool streamed = false;  // the sink has had it
};

// A stream's bytes (server-sent events) as they arrive; false: no more are wanted. Nothing more is read from the
// upstream until it returns.
using ForwardSink = std::function<Task<bool>(std::string_view bytes)>;

class UpstreamBackend final : public Backend {
 public:
  // Null if a setting cannot be used; one sentence in `error`.
  static std::unique_ptr<UpstreamBackend> make(const ModelSettings& model, const UpstreamHooks& hooks,
                                               std::string& error);

  std::optional<ApiError> check(const ChatRequest& request, const std::string& tenant) override;
  bool keeps_shape() const override { return true; }
  // Without documents to write into the messages and without other upstreams, the body goes on as it came.
  bool reads_prompt(const ChatRequest& request) const override {
    return !request.documents.empty() || client_->has_choice();
  }
  std::string place() const override { return client_->names(); }
  void start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) override;
  UpstreamBackend* upstream() override { return this; }
  std::vector<UpstreamStats> upstream_stats() const override { return client_->stats(); }
  void close() override;

  // Sends a request and gives its answer with status 200; everything else is an error for the client, after a stream's
  // first bytes too. On the thread of `executor`. Without a sink a stream is a bad answer.
  Task<Result<UpstreamReply>> forward(ForwardCall call, Executor executor, ForwardSink sink = nullptr);

 private:
  struct Run;

  explicit UpstreamBackend(std::unique_ptr<UpstreamClient> client) : client_(std::move(client)) {}
  Task<void> run(std::shared_ptr<Run> run);

  std::unique_ptr<UpstreamClient> client_;
  std::shared_ptr<std::atomic<bool>> closed_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace kvasir::gateway
