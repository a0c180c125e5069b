// The vocabulary of a prompt: what a chat request is made of, before anybody tokenises or caches it.
#pragma once

#include "rag/content_id.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::rag {

enum class Role { system, developer, user, assistant, tool };

std::string_view to_string(Role role);

// A function that an assistant asked for in an earlier turn.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text

  bool operator==(const ToolCall&) const = default;
};

struct Message {
  Role role = Role::user;
  std::string text;                    // UTF-8; content parts of type text are joined by the edge
  std::string name;                    // OpenAI's optional participant name
  std::vector<ToolCall> tool_calls{};  // of the assistant
  std::string tool_call_id{};          // of a tool's result: the call that it answers

  bool operator==(const Message&) const = default;
};

// A piece of retrieved context. A document without an id of its own is known by its content.
struct Document {
  std::string id;       // the caller's id; empty when the document was recognised in plain text
  std::string text;     // UTF-8
  std::string title;    // may be empty
  std::string version;  // may be empty
  std::string group;    // may be empty

  // Hash of title and text.
  ContentId content() const;
  // What invalidation names: `id` if the caller gave one, else the content id in hexadecimal.
  std::string key() const { return key(content()); }
  std::string key(const ContentId& content) const { return id.empty() ? content.hex() : id; }

  bool operator==(const Document&) const = default;
};

// The documents of one request. Order is the caller's; identity does not depend on it.
class DocumentSet {
 public:
  DocumentSet() = default;
  explicit DocumentSet(std::vector<Document> documents);

  const std::vector<Document>& in_order() const { return documents_; }
  bool empty() const { return documents_.empty(); }
  // Hash of the unordered set of (key, version, content). Duplicates count once.
  ContentId identity() const;
  std::vector<std::string> keys() const;
  // Of each document: hash of key, version and content.
  std::vector<ContentId> identities() const;

 private:
  std::vector<Document> documents_;
  std::vector<ContentId> contents_;  // of each: hashed once, however often it is asked for
};

// A chat request taken apart. `question` is the last user message without its retrieved context: the only part that is
// ever embedded. Everything else is compared for equality.
struct Prompt {
  std::vector<Message> messages;   // as the client sent them
  std::string system;              // system and developer messages, joined by a blank line
  std::vector<Message> history;    // turns before the question (all turns if there is none), system messages left out
  DocumentSet documents;           // from the `documents` field, or recognised in a message
  std::string instruction;         // what stood around a recognised context: "Answer in one word."
  std::string question;            // empty if the last turn is not the user's
  bool documents_in_text = false;  // true: the documents already stand in `messages`
  std::optional<std::size_t> context_message{};  // the system message that they stand in: its rest is `instruction`

  // Hash of what the model is told to do: system messages with their role and place among the turns, and `instruction`.
  ContentId system_identity() const;
  // Hash of `history` and of the name of who asks.
  ContentId history_identity() const;
};

struct ContextPatterns;

// Takes a request apart. `field_documents` are those of the `documents` field; when there are none, the last user
// message and then the system messages are searched for documents in a form that context.hpp knows, with these patterns
// or, if null, the built-in ones. Text that matches no known form stays part of the question.
Prompt analyse(std::vector<Message> messages, std::vector<Document> field_documents,
               const ContextPatterns* patterns = nullptr);

// The messages as a model without a template for documents should read them: documents of the `documents` field are put
// in front of the last user message in the plain-text form above (into a user message of their own if there is none).
// Without such documents: `prompt.messages` unchanged.
std::vector<Message> messages_with_context(const Prompt& prompt);

}  // namespace kvasir::rag
