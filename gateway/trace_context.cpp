#include "gateway/trace_context.hpp"

#include "gateway/http_message.hpp"

namespace kvasir::gateway {
namespace {

constexpr std::size_t kTraceId = 32;
constexpr std::size_t kSpanId = 16;
constexpr std::size_t kLength = 2 + 1 + kTraceId + 1 + kSpanId + 1 + 2;  // of version 00

bool hexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

// Section 3.2.2: later versions may append fields behind a dash; version ff is none.
bool valid(std::string_view header) {
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-') return false;
  const std::string_view version = header.substr(0, 2);
  if (!hexadecimal(version) || version == "ff") return false;
  if (header.size() > kLength && (version == "00" || header[kLength] != '-')) return false;
  const std::string_view trace = header.substr(3, kTraceId);
  const std::string_view span = header.substr(36, kSpanId);
  return hexadecimal(trace) && !zero(trace) && hexadecimal(span) && !zero(span) && hexadecimal(header.substr(53, 2));
}

std::string new_id(std::size_t digits) {
  std::string id = random_id("").substr(0, digits);
  if (zero(id)) id.back() = '1';
  return id;
}

}  // namespace

TraceContext TraceContext::continue_from(std::string_view traceparent) {
  TraceContext context;
  context.span_id = new_id(kSpanId);
  if (!valid(traceparent)) {
    context.trace_id = new_id(kTraceId);
    return context;
  }
  context.trace_id = traceparent.substr(3, kTraceId);
  context.parent_id = traceparent.substr(36, kSpanId);
  context.flags = traceparent.substr(53, 2);
  return context;
}

std::string TraceContext::traceparent() const {
  return "00-" + trace_id + "-" + span_id + "-" + flags;
}

}  // namespace kvasir::gateway
