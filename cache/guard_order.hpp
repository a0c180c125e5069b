// Who does what to whom, and which way: "from Paris to Lyon", "did Ann hire Bob", "is tea better than coffee".
#pragma once

#include "cache/guard_terms.hpp"

#include <string_view>

namespace kvasir::cache {

// For questions that say the same (guard_content.hpp). Empty if the terms stand in one order, or every change of order
// is one that keeps the meaning: a phrase that carries its preposition along, "X's Y" for "Y of X", "A and B" for "B
// and A", the passive with its "by". Else "guard_direction" or "guard_order". Symmetric.
std::string_view order_objection(const Terms& asked, const Terms& stored, Language language);

}  // namespace kvasir::cache
