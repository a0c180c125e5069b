// A prompt as the model reads it: its chat template around messages, documents and tools.
#pragma once

#include "engine/chat_template.hpp"
#include "engine/engine.hpp"

#include <cstddef>
#include <string>

namespace kvasir::engine {

// Any thread.
class PromptRenderer {
 public:
  // `chat` outlives the renderer.
  explicit PromptRenderer(const ChatTemplate& chat) : chat_(chat) {}

  // Errors are those of ChatTemplate::render.
  Result<std::string> render(const rag::Prompt& prompt, const ToolUse& tools) const;
  // The first `messages` messages alone, without what asks for an answer.
  Result<std::string> render_beginning(const rag::Prompt& prompt, const ToolUse& tools, std::size_t messages) const;

 private:
  Result<std::string> render(const rag::Prompt& prompt, const ToolUse& tools, std::size_t messages,
                             bool add_generation_prompt) const;

  const ChatTemplate& chat_;
};

}  // namespace kvasir::engine
