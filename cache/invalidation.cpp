#include "cache/invalidation.hpp"

#include <algorithm>

namespace kvasir::cache {
namespace {

bool share_one(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::any_of(a, [&](const std::string& x) { return std::ranges::find(b, x) != b.end(); });
}

// Of an entry from before versions were kept, no version is the current one.
bool uses_outdated(const CurrentDocument& current, const CacheKey& key) {
  for (std::size_t i = 0; i < key.documents.size(); ++i) {
    if (key.documents[i] != current.id) continue;
    if (i >= key.document_versions.size() || key.document_versions[i] != current.version) return true;
  }
  return false;
}

bool means(const Removal& removal, const Entry& entry) {
  return removal.entry_id.empty() ? matches(removal.what, entry) : removal.entry_id == entry.id;
}

}  // namespace

bool matches(const Invalidation& what, const Entry& entry) {
  if (!what.tenant.empty() && what.tenant != entry.key.tenant) return false;
  if (!what.model.empty() && what.model != entry.key.model) return false;
  if (what.all) return true;
  if (!what.names()) return !what.tenant.empty() || !what.model.empty();
  const auto outdated = [&](const CurrentDocument& current) { return uses_outdated(current, entry.key); };
  if (std::ranges::any_of(what.current, outdated)) return true;
  return share_one(what.documents, entry.key.documents) || share_one(what.tags, entry.tags);
}

bool selects(const Invalidation& what) {
  return what.all || what.names() || !what.tenant.empty() || !what.model.empty();
}

void RemovalLog::add(Removal removal) {
  removals_.push_back(std::move(removal));
  if (removals_.size() > kept) removals_.pop_front();
  ++newest_;
}

bool RemovalLog::removed_since(std::uint64_t generation, const Entry& entry) const {
  if (generation >= newest_) return false;
  const std::uint64_t missed = newest_ - generation;
  if (missed > removals_.size()) return true;
  const auto first_missed = removals_.end() - static_cast<std::ptrdiff_t>(missed);
  return std::any_of(first_missed, removals_.end(), [&](const Removal& removal) { return means(removal, entry); });
}

}  // namespace kvasir::cache
