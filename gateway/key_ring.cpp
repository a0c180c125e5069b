#include "gateway/key_ring.hpp"

#include "rag/sha256.hpp"

#include <algorithm>

#include <openssl/crypto.h>

namespace kvasir::gateway {
namespace {

unsigned char hex_value(char digit) {
  return static_cast<unsigned char>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

std::shared_ptr<RateLimit> limit_or_kept(int per_minute, const std::shared_ptr<RateLimit>& kept) {
  if (kept && kept->per_minute() == per_minute) return kept;
  return std::make_shared<RateLimit>(per_minute);
}

}  // namespace

KeyDigest::KeyDigest(std::string_view hex) {
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    bytes_[i] = static_cast<unsigned char>(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
  }
}

KeyDigest KeyDigest::of(std::string_view key) {
  KeyDigest digest;
  digest.bytes_ = rag::Sha256::of(key);
  return digest;
}

bool KeyDigest::same(const KeyDigest& other) const {
  return CRYPTO_memcmp(bytes_.data(), other.bytes_.data(), bytes_.size()) == 0;
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  const bool same = std::equal(kScheme.begin(), kScheme.end(), authorization.begin(),
                               [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
  if (!same) return {};
  authorization.remove_prefix(kScheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  while (authorization.ends_with(' ')) authorization.remove_suffix(1);
  return authorization;
}

bool ApiKey::may_use(std::string_view model) const {
  return models.empty() || std::find(models.begin(), models.end(), model) != models.end();
}

KeyRing::KeyRing(const std::vector<KeySettings>& keys, SpendLedger* ledger, const KeyRing* before) {
  anonymous_.requests = anonymous_.tokens = std::make_shared<RateLimit>(0);
  for (const KeySettings& settings : keys) {
    Slot slot{KeyDigest(settings.sha256), std::make_unique<ApiKey>()};
    const ApiKey* known = before == nullptr ? nullptr : before->find(slot.digest);
    ApiKey& key = *slot.key;
    key.name = settings.name;
    key.tenant = settings.tenant;
    key.models = settings.models;
    key.budget_per_day = settings.budget_per_day;
    key.priority = settings.priority;
    key.requests = limit_or_kept(settings.requests_per_minute, known == nullptr ? nullptr : known->requests);
    key.tokens = limit_or_kept(settings.tokens_per_minute, known == nullptr ? nullptr : known->tokens);
    key.budget = ledger != nullptr                   ? ledger->budget(settings.sha256)
                 : known != nullptr && known->budget ? known->budget
                                                     : std::make_shared<Budget>();
    slots_.push_back(std::move(slot));
  }
}

// All keys are compared, whichever fits, so that time tells nothing.
const ApiKey* KeyRing::find(const KeyDigest& digest) const {
  const ApiKey* found = nullptr;
  for (const Slot& slot : slots_) {
    if (slot.digest.same(digest)) found = slot.key.get();
  }
  return found;
}

const ApiKey* KeyRing::find(std::string_view authorization) const {
  if (slots_.empty()) return &anonymous_;
  const std::string_view token = bearer_token(authorization);
  return token.empty() ? nullptr : find(KeyDigest::of(token));
}

}  // namespace kvasir::gateway
