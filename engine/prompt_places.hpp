// Where the parts of a prompt lie among its tokens.
#pragma once

#include "engine/engine.hpp"
#include "engine/prompt_renderer.hpp"
#include "engine/sequence.hpp"
#include "engine/tokenizer.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// How many bytes of `text` have been said after each of its tokens. Where tokens and text part ways, nobody knows how
// much of the text the rest of the tokens says: all of it, then.
std::vector<std::size_t> token_ends(const Tokenizer& tokenizer, std::string_view text, std::span<const TokenId> tokens);

// Where documents begin, in the order of tokens. `ends`: of the rendered `text`.
std::vector<DocumentMark> find_documents(std::string_view text, std::span<const std::size_t> ends,
                                         const rag::DocumentSet& documents);

// Where breakpoints are, in the order of tokens and in whole blocks; each block's end once, with the longest ttl.
//
// Templates strip, reorder and fold messages, so that a place is found by what the template does with a change there:
// up to it the text stays the same. A breakpoint that the template hides is left out.
std::vector<PinMark> find_breakpoints(const PromptRenderer& renderer, const GenerateInput& input,
                                      std::span<const Breakpoint> breakpoints, std::string_view text,
                                      std::span<const std::size_t> ends);

// Behind the system messages in front; nothing if there are none.
std::optional<Breakpoint> end_of_system(const rag::Prompt& prompt, std::chrono::seconds ttl);

}  // namespace kvasir::engine
