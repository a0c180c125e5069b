// The admin listener: metrics, cache statistics and invalidation, configuration, drain (interface.md, "Admin API").
#pragma once

#include "gateway/api_handler.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/thread_pool.hpp>

namespace kvasir::gateway {

class AdminHandler final : public HttpHandler {
 public:
  // `drain` asks the process to finish what runs and to end.
  AdminHandler(const Services& services, std::function<void()> drain)
      : services_(services), drain_(std::move(drain)), worker_(std::in_place, 1) {}
  // Finishes what runs; what waits is dropped, coroutines included: call it while their I/O threads' contexts live.
  void stop();

  Task<void> handle(HttpExchange& exchange) override;
  std::optional<HttpResponse> refuse_early(const HttpRequest& head) override;

 private:
  HttpResponse answer(const HttpRequest& request);
  static bool is_read(std::string_view path);
  HttpResponse read(const HttpRequest& request) const;
  HttpResponse metrics() const;
  HttpResponse entry(const HttpRequest& request, std::string_view id);
  HttpResponse invalidate(const HttpRequest& request);
  HttpResponse front_page() const;

  Services services_;
  std::function<void()> drain_;
  std::optional<asio::thread_pool> worker_;  // invalidation waits for the store and the engine
};

}  // namespace kvasir::gateway
