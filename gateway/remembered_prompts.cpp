#include "gateway/remembered_prompts.hpp"

namespace kvasir::gateway {

void RememberedPrompts::remember(const std::string& tenant, std::string_view id, engine::RecordedPrompts prompts,
                                 std::chrono::seconds ttl) {
  if (prompts.empty()) return;
  std::size_t tokens = 0;
  for (const auto& prompt : prompts) tokens += prompt->tokens.size();
  const std::lock_guard lock(mutex_);
  Name name(tenant, id);
  if (const auto known = by_name_.find(name); known != by_name_.end()) drop(known->second);
  entries_.push_front({name, std::move(prompts), tokens, ttl, now_() + ttl});
  by_name_.emplace(std::move(name), entries_.begin());
  tokens_ += tokens;
  while (entries_.size() > kMostAnswers || tokens_ > kMostTokens) drop(std::prev(entries_.end()));
}

engine::RecordedPrompts RememberedPrompts::find(const std::string& tenant, std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto known = by_name_.find(Name(tenant, id));
  if (known == by_name_.end()) return {};
  const auto entry = known->second;
  if (entry->until <= now_()) {
    drop(entry);
    return {};
  }
  entry->until = now_() + entry->ttl;
  entries_.splice(entries_.begin(), entries_, entry);
  return entry->prompts;
}

void RememberedPrompts::drop(Entries::iterator entry) {
  tokens_ -= entry->tokens;
  by_name_.erase(entry->name);
  entries_.erase(entry);
}

}  // namespace kvasir::gateway
