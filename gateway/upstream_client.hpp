// Sends requests to the upstreams of a model: chooses one, tries again where that is harmless, and says truthfully what
// went wrong. Knows HTTP, but not what is asked.
#pragma once

#include "gateway/retry_budget.hpp"
#include "gateway/upstream_router.hpp"
#include "gateway/upstream_server.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

struct UpstreamRequest {
  std::string path;  // behind base_url: "/chat/completions"
  // The JSON for an upstream that calls the model so; in `written` if it has to be written.
  std::function<std::string_view(const std::string& model, std::string& written)> body;
  bool stream = false;
  std::uint64_t affinity = 0;  // see affinity_key()
  std::string request_id;
  std::string traceparent;  // W3C trace context; may be empty
};

// Takes an answer with status 200: one body, or a stream's bytes as they arrive.
class UpstreamReceiver {
 public:
  enum class Verdict { more, done, broken };

  virtual ~UpstreamReceiver() = default;
  // Null, or why this is no answer.
  virtual std::optional<ApiError> body(std::string body) = 0;
  // done: it has all it needs; broken: this is no answer. Never called again after either. Until it returns, nothing is
  // read from the upstream.
  virtual Task<Verdict> bytes(std::string_view bytes) = 0;
  // The stream is over, and nobody said done.
  virtual std::optional<ApiError> end() = 0;
};

// Any thread; a request stays on the thread of its executor.
class UpstreamClient {
 public:
  // Null if a setting cannot be used; one sentence in `error`.
  static std::unique_ptr<UpstreamClient> make(const ModelSettings& model, const UpstreamHooks& hooks,
                                              std::string& error);

  // Null: `receiver` has the answer. Otherwise what to tell the client, unless `receiver` has ended the answer with
  // Verdict::broken itself. Refused and reset requests are sent again, to another upstream if there is one; 429, 502,
  // 503 and 504 only to another one; nothing after the receiver's first byte, beyond the upstream's timeout or the
  // budget of retries.
  Task<std::optional<ApiError>> send(const UpstreamRequest& request, UpstreamCall& call, Executor executor,
                                     UpstreamReceiver& receiver);

  bool has_choice() const { return servers_.size() > 1; }
  std::vector<UpstreamStats> stats() const;
  // Of all its upstreams, with commas between.
  std::string names() const;
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Tried;

  UpstreamClient(std::vector<std::unique_ptr<UpstreamServer>> servers, UpstreamRouter router);
  UpstreamServer* choose(std::uint64_t affinity, Tried& tried) const;
  UpstreamServer* choose_again(FaultKind fault, std::uint64_t affinity, Tried& tried) const;
  static Task<std::optional<UpstreamFault>> attempt(UpstreamServer& server, const UpstreamRequest& request,
                                                    UpstreamCall& call, Executor executor, UpstreamReceiver& receiver,
                                                    Clock::time_point deadline);

  std::vector<std::unique_ptr<UpstreamServer>> servers_;
  UpstreamRouter router_;
  RetryBudget budget_;
};

}  // namespace kvasir::gateway
