// Whoever sent one request: what the key allows, and what the request holds of its limits until it is over.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/request_record.hpp"
#include "gateway/snapshot.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// Used on the request's thread. A reservation that is not settled when this goes is given back.
class Caller {
 public:
  // `key` is one of `snapshot`.
  Caller(SnapshotPtr snapshot, const ApiKey& key) : snapshot_(std::move(snapshot)), key_(&key) {}
  ~Caller() { release(); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  const std::string& name() const { return key_->name; }
  const std::string& tenant() const { return key_->tenant; }
  int priority() const { return key_->priority; }
  const SnapshotPtr& snapshot() const { return snapshot_; }
  bool may_use(std::string_view model) const { return key_->may_use(model); }
  // Of the snapshot; an empty name is the default model's. Null: there is none that the key may use.
  const ModelTable::Model* find_model(std::string_view name) const;

  // The request itself. Error: 429.
  std::optional<ApiError> take_request();
  // What computing an answer may come to at `price`, before it is computed. Errors: 429 rate_limit_exceeded, 429
  // insufficient_quota.
  std::optional<ApiError> reserve(const TokenUsage& most, const Price& price);
  // The reservation was not needed.
  void release();
  // Pays for what was computed and returns its cost; without a reservation (a hit) nothing is due.
  NanoUsd settle(const TokenUsage& used);
  // Gives all back, the request itself included: it failed, and not by its sender's fault.
  void refund();

  // Which limit has refused this request.
  LimitKind refused_by() const { return refused_by_; }
  // x-ratelimit-*, as OpenAI names them, for those limits that the key has.
  void append_limit_headers(std::string& headers) const;

 private:
  SnapshotPtr snapshot_;
  const ApiKey* key_;
  Price price_;
  bool request_taken_ = false;
  bool reserved_ = false;
  std::int64_t reserved_tokens_ = 0;
  NanoUsd claimed_ = 0;
  LimitKind refused_by_ = LimitKind::none;
};

// Ends a request, by its status: who fails by our fault or an upstream's pays nothing, who is refused keeps the tokens,
// and who hangs up pays for what was worked on until then. `estimate` stands in for tokens that nobody has counted.
// Writes the cost, or what a hit has saved at `price`, into `record`.
void settle(Caller& caller, RequestRecord& record, const TokenUsage& estimate, const Price& price);

}  // namespace kvasir::gateway
