// Guards and rules on any two texts: no text objects to itself, and who asked first makes no difference.
// The input is two texts with a zero byte between them.
#include "cache/cacheability.hpp"
#include "cache/guards.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

namespace kvasir::cache {
namespace {

void use(std::string_view data) {
  const std::size_t end = std::min(data.find('\0'), data.size());
  const std::string_view left = data.substr(0, end);
  const std::string_view right = data.substr(std::min(end + 1, data.size()));
  const GuardedQuestion asked(left);
  const GuardedQuestion stored(right);
  constexpr float similarity = 0.99F;
  must(guard_objection(asked, asked, similarity).empty());
  must(guard_objection(asked, stored, similarity).empty() == guard_objection(stored, asked, similarity).empty());
  must(why_not_cacheable(left) == why_not_cacheable(left));
}

}  // namespace
}  // namespace kvasir::cache

KVASIR_FUZZ(kvasir::cache::use)
