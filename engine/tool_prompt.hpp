// Tools in a prompt, for models whose template does not know them: everything becomes text in the form of Hermes.
#pragma once

#include "engine/tool_use.hpp"
#include "rag/prompt.hpp"

#include <span>
#include <vector>

namespace kvasir::engine {

// The system message says which tools there are and how to call them; calls of earlier answers and the results of tools
// become parts of the conversation.
std::vector<rag::Message> spell_out_tools(std::span<const rag::Message> messages, std::span<const Tool> tools);

}  // namespace kvasir::engine
