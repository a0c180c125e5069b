#include "engine/prompt_renderer.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace kvasir::engine {

Result<std::string> PromptRenderer::render(const rag::Prompt& prompt, const ToolUse& tools) const {
  return render(prompt, tools, std::numeric_limits<std::size_t>::max(), true);
}

Result<std::string> PromptRenderer::render_beginning(const rag::Prompt& prompt, const ToolUse& tools,
                                                     std::size_t messages) const {
  return render(prompt, tools, messages, false);
}

Result<std::string> PromptRenderer::render(const rag::Prompt& prompt, const ToolUse& tools, std::size_t messages,
                                           bool add_generation_prompt) const {
  std::span<const Tool> shown;
  if (tools.in_play()) shown = tools.tools;
  const auto first = [messages](std::span<const rag::Message> all) {
    return all.first(std::min(messages, all.size()));
  };
  if (chat_.knows_documents() && !prompt.documents_in_text)
    return chat_.render(first(prompt.messages), prompt.documents.in_order(), add_generation_prompt, shown);
  return chat_.render(first(rag::messages_with_context(prompt)), {}, add_generation_prompt, shown);
}

}  // namespace kvasir::engine
