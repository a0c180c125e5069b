// Retrieved context that a client wrote into the text of a message.
#pragma once

#include "rag/prompt.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::rag {

// A message taken apart. Nothing of it is lost but the markers and white space next to them.
struct RecognisedContext {
  std::string instruction;  // what stands before "Context:", trimmed; may be empty
  std::vector<Document> documents;
  std::string question;
};

// Recognises
//   [instruction]
//   Context:
//   [Document 1]: …
//
//   [Document 2]: …
//
//   Question: …
// Markers stand at the start of a line; numbers count up from 1; the last "\n\nQuestion: " ends the documents, so that
// one inside a document does not cut it. CRLF counts as LF. Documents are trimmed; the question is not empty. Null when
// the text has any other form. Linear in the text's length.
std::optional<RecognisedContext> recognise_context(std::string_view text);

// Writes documents and question in the form above, titles on a line of their own before the text. Without a question:
// the documents alone.
std::string render_context(std::span<const Document> documents, std::string_view question);

}  // namespace kvasir::rag
