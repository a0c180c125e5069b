// What one question says and the other does not.
#pragma once

#include "cache/guard_terms.hpp"

#include <string_view>

namespace kvasir::cache {

// Empty if each term of either question is explained by one of the other: the same, another form of it, a synonym, a
// slip of the pen; else the guard's reason, by what is left over: "guard_unit", "guard_date", "guard_question",
// "guard_scope", "guard_antonym", "guard_words". Symmetric.
std::string_view content_objection(const Terms& asked, const Terms& stored, Language language);

}  // namespace kvasir::cache
