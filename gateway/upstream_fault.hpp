// What can go wrong with an upstream, as its counters and its breaker see it, and as the client is told.
#pragma once

#include "gateway/api_error.hpp"

#include <array>
#include <string_view>

namespace kvasir::gateway {

enum class FaultKind {
  unreachable,   // no address, refused, no TLS, no time to connect
  reset,         // connected, but gone before the answer's first byte
  timeout,       // silent for too long
  limited,       // 429
  unavailable,   // 502, 503, 504
  server_error,  // other 5xx
  credentials,   // 401, 403: the gateway's, not the caller's
  bad_answer,    // no HTTP, a redirect, half an answer, no JSON
  rejected,      // other 4xx: the caller's mistake, no failure of the upstream
  cancelled      // nobody waits any more
};
inline constexpr std::size_t kFaultKinds = 10;
std::string_view to_string(FaultKind kind);

struct UpstreamFault {
  FaultKind kind = FaultKind::bad_answer;
  ApiError error{};
};

// The upstream failed, as opposed to the caller.
inline bool is_failure(FaultKind kind) {
  return kind != FaultKind::limited && kind != FaultKind::rejected && kind != FaultKind::cancelled;
}

// `what` is a noun: "half an answer".
UpstreamFault bad_answer(std::string_view what);
UpstreamFault unreachable(std::string_view why);
UpstreamFault connection_reset(std::string_view why);
// `what` did not come in time: "the first byte of an answer".
UpstreamFault too_slow(std::string_view what);
UpstreamFault private_address();
UpstreamFault cancelled();

// An upstream answered with `status`, which is not what was asked for. `body` may be an OpenAI error.
UpstreamFault refused_with(int status, std::string_view body, int retry_after_seconds);

}  // namespace kvasir::gateway
