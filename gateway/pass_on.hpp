// A request that an upstream answers and the gateway only passes on, without a cache.
#pragma once

#include "gateway/http_connection.hpp"
#include "gateway/key_ring.hpp"
#include "gateway/metrics.hpp"
#include "gateway/upstream_backend.hpp"

#include <string>

namespace kvasir::gateway {

struct PassOn {
  std::string path;    // behind the upstream's base_url
  std::string body;    // as received, and checked
  std::string prefix;  // ForwardCall::prefix
  bool stream = false;
  std::string headers;  // of an answer: whole lines
};

// The answer leaves as it came. Fills `record`; `caller` pays for the tokens that the upstream tells, or, of a stream
// that does not tell, for about as many as there were.
Task<void> pass_on(UpstreamBackend& upstream, PassOn request, HttpExchange& exchange, Caller& caller,
                   RequestRecord& record);

}  // namespace kvasir::gateway
