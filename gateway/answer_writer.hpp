// How an endpoint shows an answer: as one body, or as the events of a stream. A writer serves one request, on the
// thread of its connection; events are appended whole.
#pragma once

#include "cache/response_cache.hpp"
#include "gateway/api_error.hpp"
#include "gateway/asio.hpp"
#include "gateway/in_flight.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// A whole answer, from the cache or from a flight that outlives it.
struct ShownAnswer {
  const cache::Answer* answer = nullptr;
  const engine::GenerateSummary* engine = nullptr;  // of an answer computed in this process, else null
  std::string_view raw_body;                        // an upstream's whole body as it came, or empty
  bool cached = false;
  std::span<const std::vector<ToolCallPiece>> tool_calls{};  // by choice, or empty
};

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  // The answer's; valid while the writer lives.
  virtual std::string_view id() const = 0;
  // Awaited once an answer is complete: before body(), or between begin() and end().
  virtual Task<void> complete(const ShownAnswer& /*answer*/) { co_return; }
  virtual void body(std::string& out, const ShownAnswer& answer) = 0;

  // A stream is begin, delta*, and end or fail. An answer that is there as a whole has no deltas. What fail() appends
  // stands before the error's own event.
  virtual void begin(std::string& /*out*/) {}
  virtual void delta(std::string& out, const FlightDelta& delta) = 0;
  virtual void end(std::string& out, const ShownAnswer& answer) = 0;
  virtual void fail(std::string& /*out*/, const ApiError& /*error*/) {}

  // Names the fields of this endpoint in an error that speaks of a chat's.
  virtual void rename(ApiError& /*error*/) const {}
};

}  // namespace kvasir::gateway
