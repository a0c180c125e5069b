// Passes a request's answer on: counts its bytes, and adds the headers that all answers of its key have.
#pragma once

#include "gateway/caller.hpp"
#include "gateway/http_connection.hpp"

namespace kvasir::gateway {

class MeteredExchange final : public HttpExchange {
 public:
  // Both must outlive this.
  MeteredExchange(HttpExchange& inner, RequestRecord& record) : inner_(&inner), record_(&record) {}
  // From now on answers have the limits of `caller`, which must outlive this.
  void belongs_to(const Caller& caller) { caller_ = &caller; }

  HttpRequest& request() override { return inner_->request(); }
  Executor executor() override { return inner_->executor(); }
  Task<bool> send(HttpResponse response) override {
    record_->bytes += response.body.size();
    if (caller_ != nullptr) caller_->append_limit_headers(response.headers);
    return inner_->send(std::move(response));
  }
  Task<bool> begin_stream(std::string headers, std::string_view content_type) override {
    if (caller_ != nullptr) caller_->append_limit_headers(headers);
    return inner_->begin_stream(std::move(headers), content_type);
  }
  Task<bool> write(std::string data) override {
    record_->bytes += data.size();
    return inner_->write(std::move(data));
  }
  Task<bool> end_stream() override { return inner_->end_stream(); }
  Task<void> abort() override { return inner_->abort(); }
  void watch(std::function<void()> hang_up) override { inner_->watch(std::move(hang_up)); }
  void stop_watching() override { inner_->stop_watching(); }

 private:
  HttpExchange* inner_;
  RequestRecord* record_;
  const Caller* caller_ = nullptr;
};

}  // namespace kvasir::gateway
