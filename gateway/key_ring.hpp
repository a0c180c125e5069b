// Who may ask, for which models, how often, for how much money, and as which tenant.
#pragma once

#include "gateway/budget.hpp"
#include "gateway/rate_limit.hpp"
#include "gateway/settings.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// A key's SHA-256: all that is known of it.
class KeyDigest {
 public:
  // `hex`: 64 lower-case hexadecimal digits.
  explicit KeyDigest(std::string_view hex);
  static KeyDigest of(std::string_view key);
  // Takes as long whether they are equal or not.
  bool same(const KeyDigest& other) const;

 private:
  KeyDigest() = default;
  std::array<unsigned char, 32> bytes_{};
};

// The token of a "Bearer" Authorization header; empty if there is none.
std::string_view bearer_token(std::string_view authorization);

// Rights and limits of a key. The levels are shared with the same key's of an earlier configuration.
struct ApiKey {
  std::string name;
  std::string tenant = "default";
  std::vector<std::string> models;  // empty: all
  NanoUsd budget_per_day = 0;       // 0: no limit
  int priority = 0;                 // in an engine's queue; higher first
  std::shared_ptr<RateLimit> requests;
  std::shared_ptr<RateLimit> tokens;
  std::shared_ptr<Budget> budget;  // null: nobody counts

  bool may_use(std::string_view model) const;
};

// Keys are known by their SHA-256 only and compared in constant time. Immutable; any thread.
class KeyRing {
 public:
  // Budgets are those of `ledger` (null: they are not kept). Keys that `before` has too keep their levels, unless the
  // limit itself is another.
  explicit KeyRing(const std::vector<KeySettings>& keys, SpendLedger* ledger = nullptr,
                   const KeyRing* before = nullptr);

  // `authorization`: the header's value. Without keys everybody is the tenant "default"; null: no key, or a wrong one.
  const ApiKey* find(std::string_view authorization) const;

 private:
  struct Slot {
    KeyDigest digest;
    std::unique_ptr<ApiKey> key;
  };

  const ApiKey* find(const KeyDigest& digest) const;

  std::vector<Slot> slots_;
  ApiKey anonymous_;
};

}  // namespace kvasir::gateway
