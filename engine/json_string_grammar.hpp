#pragma once

#include "engine/grammar.hpp"

#include <cstdint>

namespace kvasir::engine {

// A string of min..max characters (RFC 8259, section 7): UTF-8 without surrogates, or escapes, where a surrogate is
// followed by its other half. Returns where it begins; its end leaves the rule.
GrammarBuilder::Node add_json_string(GrammarBuilder& b, std::uint32_t min, std::uint32_t max);

}  // namespace kvasir::engine
