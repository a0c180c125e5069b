// Logprobs of a chat in the shape of legacy completions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// Appends {"tokens":[…],"token_logprobs":[…],"top_logprobs":[{…}],"text_offset":[…]}. `items`: those of
// logprobs.content, separated by commas. `offset`: characters (code points) of the text before them; moves on. A token
// that is no whole UTF-8 shows as "bytes:\xNN…"; among its alternatives is always the token itself.
void append_legacy_logprobs(std::string& out, std::string_view items, std::size_t& offset);

}  // namespace kvasir::gateway
