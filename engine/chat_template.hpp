// Messages to the text that a model was trained on: the Jinja subset that model files use.
#pragma once

#include "engine/error.hpp"
#include "engine/tool_calls.hpp"
#include "rag/prompt.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace kvasir::engine {

// Immutable after parse; any thread. Rendering is bounded in steps, depth and output size.
class ChatTemplate {
 public:
  // `source`: Jinja text (tokenizer.chat_template). bos and eos are what the template calls bos_token and eos_token.
  // Error: unsupported_model, with line and construct.
  static Result<ChatTemplate> parse(std::string_view source, std::string bos, std::string eos);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // True if the template itself reads `documents`.
  bool knows_documents() const;
  // How the model writes calls. A template that does not show tools itself gets them as text, in the tagged form.
  ToolForm tool_form() const;
  // The developer's role is rendered as the system's. If the template refuses or ignores system messages, their text
  // goes in front of the first user message.
  // Error: bad_request with the template's own message when it calls raise_exception ("roles must alternate …").
  Result<std::string> render(std::span<const rag::Message> messages, std::span<const rag::Document> documents,
                             bool add_generation_prompt, std::span<const Tool> tools = {}) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::engine
