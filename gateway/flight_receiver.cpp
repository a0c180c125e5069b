#include "gateway/flight_receiver.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::gateway {
namespace {

// Of a stream, in memory until its last client has left: what came, and what it costs to hold it.
constexpr std::size_t kMaxHeld = 64 << 20;

}  // namespace

std::optional<ApiError> FlightReceiver::body(std::string body) {
  auto result = read_completion(std::move(body));
  if (!result) return std::move(result.error());
  finish(std::move(*result));
  return std::nullopt;
}

Task<UpstreamReceiver::Verdict> FlightReceiver::bytes(std::string_view bytes) {
  events_.push(bytes);
  while (auto data = events_.next()) {
    const Verdict verdict = take_event(std::move(*data));
    if (verdict != Verdict::more) co_return verdict;
  }
  if (events_.overflowed()) co_return fail(bad_answer("an event without end").error);
  co_return Verdict::more;
}

UpstreamReceiver::Verdict FlightReceiver::take_event(std::string data) {
  if (data == "[DONE]") {
    if (!assembler_.finished()) return fail(bad_answer("a stream without a finish reason").error);
    finish(assembler_.take());
    return Verdict::done;
  }
  // An event of several lines: in JSON a line's end is a blank, and the client gets the event in one line.
  std::replace(data.begin(), data.end(), '\n', ' ');
  held_bytes_ += data.size() + sizeof(FlightDelta);
  if (held_bytes_ > kMaxHeld) return fail(bad_answer("a stream that is too long").error);
  auto delta = assembler_.push(std::move(data));
  if (!delta) return fail(std::move(delta.error()));
  flight_->push(std::move(*delta));
  return Verdict::more;
}

std::optional<ApiError> FlightReceiver::end() {
  if (!assembler_.finished()) return bad_answer("a stream that broke off").error;
  finish(assembler_.take());
  return std::nullopt;
}

void FlightReceiver::finish(FlightResult result) {
  ended_ = true;
  result.upstream = call_->server;
  flight_->finish(std::move(result));
}

UpstreamReceiver::Verdict FlightReceiver::fail(ApiError error) {
  ended_ = true;
  flight_->fail(std::move(error));
  return Verdict::broken;
}

}  // namespace kvasir::gateway
