// A chat template is refused, or renders or refuses a chat, in bounded time and memory. The input is its text.
#include "engine/chat_template.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <vector>

namespace kvasir::engine {
namespace {

void use(std::string_view data) {
  const auto chat = ChatTemplate::parse(data, "<s>", "</s>");
  if (!chat) return must(!chat.error().message.empty());
  static const std::vector<rag::Message> messages{{rag::Role::system, "Be brief.", ""},
                                                  {rag::Role::user, " Hello ", "Ann"},
                                                  {rag::Role::assistant, "", "", {{"1", "f", R"({"a": [1]})"}}},
                                                  {rag::Role::tool, "1.5", "", {}, "1"}};
  static const std::vector<rag::Document> documents{{"id", "Text.", "Title", "", ""}};
  static const std::vector<Tool> tools{
      {"f", R"({"type": "object"})", R"({"type": "function", "function": {"name": "f"}})"}};
  for (const bool generate : {false, true}) {
    const auto text = chat->render(messages, documents, generate, tools);
    if (!text) must(!text.error().message.empty());
  }
}

}  // namespace
}  // namespace kvasir::engine

KVASIR_FUZZ(kvasir::engine::use)
