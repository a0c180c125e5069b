// An I/O thread with an upstream backend on it, for tests that ask without a gateway around.
#pragma once

#include "gateway/io_threads.hpp"
#include "gateway/upstream_backend.hpp"

#include <future>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

namespace kvasir::gateway {

inline UpstreamSettings upstream_at(const std::string& base_url) {
  UpstreamSettings settings;
  settings.base_url = base_url;
  settings.model = "theirs";
  settings.timeout = std::chrono::seconds(5);
  settings.idle_timeout = std::chrono::seconds(5);
  return settings;
}

class UpstreamLine {
 public:
  explicit UpstreamLine(std::vector<UpstreamSettings> upstreams, UpstreamHooks hooks = {},
                        UpstreamRouting routing = UpstreamRouting::weighted) {
    std::string error;
    backend = UpstreamBackend::make({"m", std::nullopt, std::move(upstreams), routing}, hooks, error);
    EXPECT_TRUE(backend) << error;
    io_->start();
  }
  // As a gateway ends: requests that still run go with their thread.
  ~UpstreamLine() {
    io_->stop();
    if (backend) backend->close();
    io_.reset();
  }

  // Ends the thread; what waits on it stays as it is.
  void stop() { io_->stop(); }

  std::future<Result<UpstreamReply>> begin(ForwardCall call, ForwardSink sink = nullptr) {
    auto answered = std::make_shared<std::promise<Result<UpstreamReply>>>();
    auto future = answered->get_future();
    asio::co_spawn(executor(), run(backend.get(), std::move(call), executor(), std::move(sink), std::move(answered)),
                   asio::detached);
    return future;
  }
  Result<UpstreamReply> forward(ForwardCall call, ForwardSink sink = nullptr) {
    return begin(std::move(call), std::move(sink)).get();
  }
  // One small request; the reply's status.
  int ask(const std::string& prefix = "") {
    const auto reply = forward(call(prefix));
    return reply ? 200 : reply.error().status;
  }
  static ForwardCall call(const std::string& prefix = "") {
    ForwardCall call;
    call.path = "/embeddings";
    call.body = R"({"model":"m","input":"Hi"})";
    call.prefix = prefix;
    call.request_id = "r1";
    return call;
  }

  Executor executor() { return io_->context(0).get_executor(); }
  UpstreamStats stats(std::size_t index = 0) const { return backend->upstream_stats().at(index); }

  std::unique_ptr<UpstreamBackend> backend;

 private:
  static Task<void> run(UpstreamBackend* backend, ForwardCall call, Executor executor, ForwardSink sink,
                        std::shared_ptr<std::promise<Result<UpstreamReply>>> answered) {
    auto reply = co_await backend->forward(std::move(call), executor, std::move(sink));
    answered->set_value(std::move(reply));
  }

  std::unique_ptr<IoThreads> io_ = std::make_unique<IoThreads>(1);
};

}  // namespace kvasir::gateway
