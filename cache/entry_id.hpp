// Names of entries.
#pragma once

#include <string>

namespace kvasir::cache {

// "kve-" and 32 random hexadecimal digits: unique without coordination, and nobody can guess another's.
std::string random_entry_id();

}  // namespace kvasir::cache
