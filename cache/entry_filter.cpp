// Which entries who lists them wants to see.
#include "cache/response_cache.hpp"

#include <algorithm>

namespace kvasir::cache {
namespace {

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return name.empty() || std::ranges::find(names, name) != names.end();
}

}  // namespace

bool matches(const EntryFilter& filter, const Entry& entry) {
  if (!filter.tenant.empty() && filter.tenant != entry.key.tenant) return false;
  if (!filter.model.empty() && filter.model != entry.key.model) return false;
  if (!holds(entry.tags, filter.tag) || !holds(entry.key.documents, filter.document)) return false;
  return !std::ranges::search(entry.key.question, filter.text, {}, lower, lower).empty() || filter.text.empty();
}

}  // namespace kvasir::cache
