// Retrieved context that a client wrote into the text of a message.
#pragma once

#include "rag/context_pattern.hpp"
#include "rag/prompt.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::rag {

// A message taken apart. Nothing of it is lost but the markers and white space next to them.
struct RecognisedContext {
  std::string instruction;  // everything that is neither document nor question; may be empty
  std::vector<Document> documents;
  std::string question;  // empty in a system prompt
};

enum class ContextPlace { user, system };

// Recognises, in this order, and where the text has any other form returns null; linear in the text's length:
//
// 1.  [instruction]            2.  [instruction]                  3. the patterns of that place
//     Context:                     <documents>
//     [Document 1]: …                <document …>…</document>
//                                    <document …>…</document>
//     [Document 2]: …              </documents>
//                                  [question]
//     Question: …
//
// In the first, markers stand at the start of a line; numbers count up from 1; the last "\n\nQuestion: " ends the
// documents, so that one inside a document does not cut it. The second is read by xml_context.hpp. What a pattern finds
// is split like the first two where it has their markers, else at blank lines: a passage of several paragraphs is
// several documents then, but lines of metadata ("file_path: a.md") stay with what follows them. CRLF counts as LF.
// Documents are trimmed.
std::optional<RecognisedContext> recognise_context(std::string_view text, ContextPlace place = ContextPlace::user,
                                                   const ContextPatterns& patterns = ContextPatterns::built_in());

// Writes documents and question in the form above, titles on a line of their own before the text. Without a question:
// the documents alone.
std::string render_context(std::span<const Document> documents, std::string_view question);

}  // namespace kvasir::rag
