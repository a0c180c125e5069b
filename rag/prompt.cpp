#include "rag/prompt.hpp"

#include "rag/context.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace kvasir::rag {
namespace {

bool is_system(const Message& message) {
  return message.role == Role::system || message.role == Role::developer;
}

// The last turn's message, or null.
const Message* last_turn_of(std::span<const Message> messages) {
  const auto turn = std::find_if_not(messages.rbegin(), messages.rend(), is_system);
  return turn == messages.rend() ? nullptr : &*turn;
}

void join(std::string& text, std::string_view more) {
  if (!text.empty()) text += "\n\n";
  text += more;
}

void hash_message(ContentHasher& hasher, const Message& message) {
  hasher.field(to_string(message.role)).field(message.name).field(message.text);
  hasher.field(message.tool_call_id).field(message.tool_calls.size());
  for (const ToolCall& call : message.tool_calls) hasher.field(call.id).field(call.name).field(call.arguments);
}

ContentId identity_of(const Document& document, const ContentId& content) {
  return ContentHasher().field(document.key(content)).field(document.version).field(content).finish();
}

// False if the message holds no context in a known form.
bool take_context(Prompt& prompt, const Message& message, ContextPlace place, const ContextPatterns& patterns) {
  auto context = recognise_context(message.text, place, patterns);
  if (!context) return false;
  prompt.instruction = std::move(context->instruction);
  prompt.documents = DocumentSet(std::move(context->documents));
  prompt.documents_in_text = true;
  if (place == ContextPlace::user) prompt.question = std::move(context->question);
  return true;
}

// Only what is asked stands alone: a passage is not looked for where nobody asks.
void find_context(Prompt& prompt, std::span<const Message> messages, const Message& question,
                  const ContextPatterns& patterns) {
  prompt.question = question.text;
  if (!prompt.documents.empty() || take_context(prompt, question, ContextPlace::user, patterns)) return;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!is_system(messages[i]) || !take_context(prompt, messages[i], ContextPlace::system, patterns)) continue;
    prompt.context_message = i;
    return;
  }
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::developer:
      return "developer";
    case Role::user:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
  }
  return "user";
}

ContentId Document::content() const {
  return ContentHasher().field(title).field(text).finish();
}

DocumentSet::DocumentSet(std::vector<Document> documents) : documents_(std::move(documents)) {
  contents_.reserve(documents_.size());
  for (const Document& document : documents_) contents_.push_back(document.content());
}

ContentId DocumentSet::identity() const {
  static const ContentId of_none = ContentHasher().finish();
  if (documents_.empty()) return of_none;
  std::vector<ContentId> ids = identities();
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  ContentHasher hasher;
  for (const ContentId& id : ids) hasher.field(id);
  return hasher.finish();
}

std::vector<std::string> DocumentSet::keys() const {
  std::vector<std::string> keys;
  keys.reserve(documents_.size());
  for (std::size_t i = 0; i < documents_.size(); ++i) keys.push_back(documents_[i].key(contents_[i]));
  return keys;
}

std::vector<ContentId> DocumentSet::identities() const {
  std::vector<ContentId> ids;
  ids.reserve(documents_.size());
  for (std::size_t i = 0; i < documents_.size(); ++i) ids.push_back(identity_of(documents_[i], contents_[i]));
  return ids;
}

ContentId Prompt::system_identity() const {
  static const ContentId of_none = ContentHasher().field("").field("").finish();
  const bool none = system.empty() && instruction.empty();
  if (none && std::none_of(messages.begin(), messages.end(), is_system)) return of_none;
  ContentHasher hasher;
  hasher.field(context_message ? std::string_view{} : system).field(instruction);
  // The same words mean something else between later turns, or from another role.
  std::uint64_t turns = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (!is_system(message)) {
      ++turns;
      continue;
    }
    hasher.field(turns).field(to_string(message.role)).field(message.name);
    if (!context_message) {
      hasher.field(message.text.size());
    } else {
      // The one with the documents says `instruction` and them.
      hasher.field(i == *context_message ? std::uint64_t{1} : 0).field(i == *context_message ? "" : message.text);
    }
  }
  return hasher.finish();
}

ContentId Prompt::history_identity() const {
  // Who asks is part of the conversation, not of the question.
  const Message* turn = last_turn_of(messages);
  const bool asked = turn != nullptr && turn->role == Role::user;
  static const ContentId of_first_question = ContentHasher().field("").finish();
  if (history.empty() && asked && turn->name.empty()) return of_first_question;
  ContentHasher hasher;
  for (const Message& message : history) hash_message(hasher, message);
  if (asked) hasher.field(turn->name);
  return hasher.finish();
}

Prompt analyse(std::vector<Message> messages, std::vector<Document> field_documents, const ContextPatterns* patterns) {
  Prompt prompt;
  prompt.documents = DocumentSet(std::move(field_documents));
  const Message* turn = last_turn_of(messages);
  const Message* question = turn != nullptr && turn->role == Role::user ? turn : nullptr;
  for (const Message& message : messages) {
    if (is_system(message)) {
      join(prompt.system, message.text);
    } else if (&message != question) {
      prompt.history.push_back(message);
    }
  }
  if (question != nullptr) {
    find_context(prompt, messages, *question, patterns != nullptr ? *patterns : ContextPatterns::built_in());
  }
  prompt.messages = std::move(messages);
  return prompt;
}

std::vector<Message> messages_with_context(const Prompt& prompt) {
  std::vector<Message> messages = prompt.messages;
  if (prompt.documents.empty() || prompt.documents_in_text) return messages;
  const auto last_user = std::find_if(messages.rbegin(), messages.rend(),
                                      [](const Message& message) { return message.role == Role::user; });
  if (last_user == messages.rend()) {
    messages.push_back({Role::user, render_context(prompt.documents.in_order(), ""), ""});
  } else {
    last_user->text = render_context(prompt.documents.in_order(), last_user->text);
  }
  return messages;
}

}  // namespace kvasir::rag
