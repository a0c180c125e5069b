// W3C Trace Context (https://www.w3.org/TR/trace-context/, level 1): which trace a request belongs to.
#pragma once

#include <string>
#include <string_view>

namespace kvasir::gateway {

struct TraceContext {
  std::string trace_id;   // 32 lower-case hexadecimal digits
  std::string span_id;    // 16 of them: this gateway's part of the trace
  std::string parent_id;  // the caller's span; empty: the trace begins here
  std::string flags = "00";

  // Goes on with the trace of a valid `traceparent` header; anything else begins a new one.
  static TraceContext continue_from(std::string_view traceparent);
  // The header for a call that this request makes.
  std::string traceparent() const;
};

}  // namespace kvasir::gateway
