// A request that an upstream answers and the gateway only passes on, without a cache.
#pragma once

#include "gateway/caller.hpp"
#include "gateway/http_connection.hpp"

#include <string>
#include <string_view>

namespace kvasir::gateway {

struct PassOn {
  std::string path;    // behind the upstream's base_url
  std::string body;    // as received, and checked
  std::string prefix;  // ForwardCall::prefix
  bool stream = false;
  TokenUsage most;                     // that the answer may come to
  std::string_view cache_reason = {};  // why no cache is asked, for the answer's headers; empty: there is none to ask
};

// The answer leaves as it came. `model`: an upstream's, of the caller's snapshot. Fills `record`; `caller` pays for the
// tokens that the upstream tells, or, of a stream that does not tell, for about as many as there were.
Task<void> pass_on(const ModelTable::Model& model, PassOn request, HttpExchange& exchange, Caller& caller,
                   RequestRecord& record);

}  // namespace kvasir::gateway
