#include "gateway/caller.hpp"

#include "gateway/http_message.hpp"
#include "gateway/json_text.hpp"

namespace kvasir::gateway {
namespace {

// As OpenAI writes it: "20ms", "1.5s", "6m0s".
std::string reset_text(std::chrono::milliseconds until) {
  std::string text;
  const auto count = until.count();
  if (count < 1000) {
    append_number(text, count);
    return text += "ms";
  }
  if (count >= 60'000) {
    append_number(text, count / 60'000);
    text += 'm';
  }
  const auto rest = count % 60'000;
  append_number(text, rest / 1000);
  if (count < 60'000 && rest % 1000 != 0) {
    text += '.';
    std::string digits = std::to_string(rest % 1000 + 1000).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += digits;
  }
  return text += 's';
}

void append_limit(std::string& headers, std::string_view what, const RateLimit& limit) {
  const RateLimit::State state = limit.state();
  if (state.limit == 0) return;
  const std::string name(what);
  append_header(headers, "x-ratelimit-limit-" + name, std::to_string(state.limit));
  append_header(headers, "x-ratelimit-remaining-" + name, std::to_string(state.remaining));
  append_header(headers, "x-ratelimit-reset-" + name, reset_text(state.until_full));
}

}  // namespace

const ModelTable::Model* Caller::find_model(std::string_view name) const {
  const auto* model = snapshot_->models.find(name);
  return model != nullptr && may_use(model->name) ? model : nullptr;
}

std::optional<ApiError> Caller::take_request() {
  if (const int seconds = key_->requests->take(1)) {
    refused_by_ = LimitKind::requests;
    return ApiError::rate_limited("This key's requests per minute are used up.", seconds);
  }
  request_taken_ = true;
  return std::nullopt;
}

std::optional<ApiError> Caller::reserve(const TokenUsage& most, const Price& price) {
  if (reserved_) return std::nullopt;
  const NanoUsd cost = price.cost(most);
  if (key_->budget && key_->budget_per_day > 0 && !price.free()) {
    if (const int seconds = key_->budget->claim(cost, key_->budget_per_day)) {
      refused_by_ = LimitKind::budget;
      return ApiError{
          429,    "This key's budget for today (UTC) is used up.", "insufficient_quota", "", "insufficient_quota",
          seconds};
    }
    claimed_ = cost;
  }
  if (const int seconds = key_->tokens->take(static_cast<double>(most.total()))) {
    if (claimed_ > 0) key_->budget->settle(std::exchange(claimed_, 0), 0);
    refused_by_ = LimitKind::tokens;
    return ApiError::rate_limited("This key's tokens per minute do not suffice for this request now.", seconds);
  }
  reserved_tokens_ = most.total();
  price_ = price;
  reserved_ = true;
  return std::nullopt;
}

void Caller::release() {
  if (!std::exchange(reserved_, false)) return;
  key_->tokens->charge(-static_cast<double>(reserved_tokens_));
  if (claimed_ > 0) key_->budget->settle(std::exchange(claimed_, 0), 0);
}

NanoUsd Caller::settle(const TokenUsage& used) {
  if (!std::exchange(reserved_, false)) return 0;
  const NanoUsd cost = price_.cost(used);
  key_->tokens->charge(static_cast<double>(used.total() - reserved_tokens_));
  if (key_->budget && (cost > 0 || claimed_ > 0)) key_->budget->settle(std::exchange(claimed_, 0), cost);
  return cost;
}

void Caller::refund() {
  release();
  if (std::exchange(request_taken_, false)) key_->requests->charge(-1);
}

void Caller::append_limit_headers(std::string& headers) const {
  append_limit(headers, "requests", *key_->requests);
  append_limit(headers, "tokens", *key_->tokens);
}

void settle(Caller& caller, RequestRecord& record, const TokenUsage& estimate, const Price& price) {
  record.refused_by = caller.refused_by();
  if (record.status >= 500 || record.status == 429) return caller.refund();
  if (record.status >= 400 && record.status != 499) return caller.release();
  TokenUsage used{record.prompt_tokens, record.cached_tokens, record.completion_tokens};
  if (used.prompt == 0) used.prompt = estimate.prompt;
  if (used.completion == 0) used.completion = estimate.completion;
  record.cost = caller.settle(used);
  if (record.hit()) record.saved = price.cost(used);
}

}  // namespace kvasir::gateway
