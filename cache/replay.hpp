// What a look-up of the log would have come to under another threshold or policy. Needs no index: the log has the few
// entries that lay nearest, and guards compare texts.
#pragma once

#include "cache/lookup_log.hpp"

#include <string_view>

namespace kvasir::cache {

struct Replayed {
  LookupOutcome outcome = LookupOutcome::miss;
  std::string_view reason = {};
  const NearEntry* served = nullptr;  // of the look-up, when `outcome` is semantic
  // False: it hangs on an entry that is gone, or on a question that was not kept whole. The outcome is a miss then.
  bool known = true;
};

// Compares the question with the near entries from `floor` upwards that no guard has seen yet, and tells the log.
void compare_guards(Lookup& lookup, float floor, const LookupLog& log);

// After compare_guards() down to the policy's threshold.
Replayed replay(const Lookup& lookup, const SemanticPolicy& policy);

}  // namespace kvasir::cache
