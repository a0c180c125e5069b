// Brings an upstream's chat answer into a flight: chunks pass on as they arrive and are put together for the cache.
#pragma once

#include "gateway/in_flight.hpp"
#include "gateway/sse_parser.hpp"
#include "gateway/upstream_answer.hpp"
#include "gateway/upstream_client.hpp"

namespace kvasir::gateway {

class FlightReceiver final : public UpstreamReceiver {
 public:
  // Both must outlive this.
  FlightReceiver(Flight& flight, const UpstreamCall& call) : flight_(&flight), call_(&call) {}

  std::optional<ApiError> body(std::string body) override;
  Task<Verdict> bytes(std::string_view bytes) override;
  std::optional<ApiError> end() override;

  // The flight has heard its end, good or bad.
  bool ended() const { return ended_; }

 private:
  Verdict fail(ApiError error);
  Verdict take_event(std::string data);
  void finish(FlightResult result);

  Flight* flight_;
  const UpstreamCall* call_;
  SseParser events_;
  StreamAssembler assembler_;
  std::size_t held_bytes_ = 0;
  bool ended_ = false;
};

}  // namespace kvasir::gateway
