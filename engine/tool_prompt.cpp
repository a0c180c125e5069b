#include "engine/tool_prompt.hpp"

#include <string>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

// The words that Hermes and Qwen were trained with.
std::string describe(std::span<const Tool> tools) {
  std::string text =
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
      "signatures within <tools></tools> XML tags:\n<tools>\n";
  for (const Tool& tool : tools) text += tool.definition + "\n";
  return text +
         "</tools>\n\nFor each function call, return a json object with function name and arguments within "
         "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
         "<args-json-object>}\n</tool_call>";
}

bool instructs(const rag::Message& message) {
  return message.role == rag::Role::system || message.role == rag::Role::developer;
}

rag::Message without_calls(const rag::Message& message) {
  rag::Message plain = message;
  plain.tool_calls.clear();
  for (const rag::ToolCall& call : message.tool_calls) {
    if (!plain.text.empty()) plain.text += '\n';
    plain.text +=
        fmt::format("<tool_call>\n{{\"name\": \"{}\", \"arguments\": {}}}\n</tool_call>", call.name, call.arguments);
  }
  return plain;
}

}  // namespace

std::vector<rag::Message> spell_out_tools(std::span<const rag::Message> messages, std::span<const Tool> tools) {
  std::vector<rag::Message> plain;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const rag::Message& message = messages[i];
    if (message.role != rag::Role::tool) {
      plain.push_back(without_calls(message));
      continue;
    }
    const std::string response = "<tool_response>\n" + message.text + "\n</tool_response>";
    // Results that belong together are one turn.
    if (i > 0 && messages[i - 1].role == rag::Role::tool) {
      plain.back().text += "\n" + response;
    } else {
      plain.push_back({rag::Role::user, response, ""});
    }
  }
  if (tools.empty()) return plain;
  if (!plain.empty() && instructs(plain.front())) {
    plain.front().text += "\n\n" + describe(tools);
  } else {
    plain.insert(plain.begin(), {rag::Role::system, describe(tools), ""});
  }
  return plain;
}

}  // namespace kvasir::engine
