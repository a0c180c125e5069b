// Does a question within a conversation stand alone, or does it need the turns before it to mean anything?
#pragma once

#include <string_view>

namespace kvasir::cache {

// False for "and in winter?", "how about it", "còn mùa đông thì sao", "那冬天呢": for whatever points back ("it", "đó",
// "那个"), begins as if something had been said, or is too short to tell. In doubt false: a follow-up that is compared
// by its words alone means as many things as there are conversations.
bool stands_alone(std::string_view question);

}  // namespace kvasir::cache
