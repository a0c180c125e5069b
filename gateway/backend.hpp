// Who computes an answer: the engine in this process, or an upstream server.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/asio.hpp"
#include "gateway/chat_request.hpp"
#include "gateway/in_flight.hpp"
#include "gateway/upstream_metrics.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::gateway {

struct BackendCall {
  std::shared_ptr<const ChatRequest> request;
  rag::Prompt prompt;  // of the request's messages and documents; may be empty if not Backend::reads_prompt()
  std::string tenant;
  int priority = 0;  // of the key: higher first
  std::string request_id;
  std::string traceparent = {};  // W3C Trace Context, of the call's own span: goes along as it is; empty: none
  // Holds the backend while the call is worked on, whatever a reload removes meanwhile.
  std::shared_ptr<const void> keep_alive = {};
};

class UpstreamBackend;

// Any thread.
class Backend {
 public:
  virtual ~Backend() = default;
  // What this backend cannot honour in a request.
  virtual std::optional<ApiError> check(const ChatRequest& request, const std::string& tenant) = 0;
  // What other models the request takes along, by the names that its key must allow.
  virtual std::vector<std::string> also_uses(const ChatRequest& /*request*/) const { return {}; }
  // Where it computes, for the log: "engine", or the upstream's host and port.
  virtual std::string place() const = 0;
  // Computes and tells `flight`: started, deltas, then finish or fail. Returns at once. `executor` belongs to the I/O
  // thread of the call; work that needs a thread's sockets runs there.
  virtual void start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) = 0;
  // Whether start() looks at the call's prompt.
  virtual bool reads_prompt(const ChatRequest& /*request*/) const { return true; }
  // True if a plain answer may hold what a stream would not, and the other way round.
  virtual bool keeps_shape() const { return false; }
  // From now on `answer_id` names the prompts of this result for requests of the tenant.
  virtual void remember(const std::string& /*tenant*/, std::string_view /*answer_id*/, const FlightResult& /*result*/,
                        std::chrono::seconds /*ttl*/) {}
  // Forgets the KV of these documents. Returns blocks removed.
  virtual std::uint64_t invalidate(const std::vector<std::string>& /*document_keys*/) { return 0; }
  virtual std::optional<engine::EngineStats> engine_stats() const { return std::nullopt; }
  // The same model with each of its LoRA adapters, under the names that clients use.
  struct Named {
    std::string name;
    std::shared_ptr<Backend> backend;
  };
  virtual std::vector<Named> adapted() const { return {}; }
  // Itself, if other servers compute: it takes more than chat.
  virtual UpstreamBackend* upstream() { return nullptr; }
  // One for each of those servers.
  virtual std::vector<UpstreamStats> upstream_stats() const { return {}; }
  // When nothing is called any more, before the I/O threads and the cache go: gives up what needs them.
  virtual void close() {}
};

}  // namespace kvasir::gateway
