#include "rag/context.hpp"

#include "rag/passages.hpp"
#include "rag/xml_context.hpp"

#include <cstddef>
#include <utility>

namespace kvasir::rag {
namespace {

constexpr std::string_view kHeading = "Context:\n";
constexpr std::string_view kFirst = "[Document 1]:";
constexpr std::string_view kQuestion = "\n\nQuestion: ";
constexpr std::string_view kBlank = " \t\n\r";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string_view trim_front(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

std::string with_unix_lines(std::string_view text) {
  std::string lines;
  lines.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    lines += text[i];
  }
  return lines;
}

// Offset of the first "Context:" line that a document follows.
std::optional<std::size_t> find_heading(std::string_view text) {
  for (auto at = text.find(kHeading); at != std::string_view::npos; at = text.find(kHeading, at + 1)) {
    const bool starts_line = at == 0 || text[at - 1] == '\n';
    if (starts_line && trim_front(text.substr(at + kHeading.size())).starts_with(kFirst)) return at;
  }
  return std::nullopt;
}

std::optional<RecognisedContext> recognise_numbered(std::string_view text) {
  const auto heading = find_heading(text);
  const auto question = text.rfind(kQuestion);
  if (!heading || question == std::string_view::npos || question < *heading) return std::nullopt;
  const auto begin = *heading + kHeading.size();
  // The blank line before "Question:" may be the one that ends an empty document.
  if (question < begin) return std::nullopt;
  auto documents = split_numbered(trim_front(text.substr(begin, question - begin)));
  const auto asked = text.substr(question + kQuestion.size());
  if (!documents || documents->empty() || trim(asked).empty()) return std::nullopt;
  return RecognisedContext{std::string(trim(text.substr(0, *heading))), std::move(*documents), std::string(asked)};
}

std::optional<RecognisedContext> recognise_tagged(std::string_view text, ContextPlace place) {
  auto found = find_xml_documents(text);
  if (!found) return std::nullopt;
  RecognisedContext context;
  context.documents = std::move(found->documents);
  if (place == ContextPlace::system) {
    // Which of it stood behind the documents is part of what it says.
    context.instruction.append(found->before).append(1, '\0').append(found->after);
    return context;
  }
  const bool asked_first = found->after.empty();
  context.question = asked_first ? found->before : found->after;
  if (!asked_first) context.instruction = found->before;
  // "Question, documents" is another prompt than "documents, question".
  if (asked_first) context.instruction = std::string(1, '\0');
  if (context.question.empty()) return std::nullopt;
  return context;
}

std::optional<RecognisedContext> recognise_pattern(std::string_view text, const std::vector<ContextPattern>& patterns) {
  const ContextPattern::Text prepared(text);
  ContextPattern::Match found;
  for (const ContextPattern& pattern : patterns) {
    if (!pattern.match(prepared, found)) continue;
    return RecognisedContext{std::move(found.rest), split_passages(found.documents), std::string(found.question)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<RecognisedContext> recognise_context(std::string_view text, ContextPlace place,
                                                   const ContextPatterns& patterns) {
  const bool foreign_lines = text.find('\r') != std::string_view::npos;
  const std::string unix_lines = foreign_lines ? with_unix_lines(text) : std::string{};
  const std::string_view lines = foreign_lines ? std::string_view(unix_lines) : text;
  const bool asks = place == ContextPlace::user;
  if (asks) {
    if (auto numbered = recognise_numbered(lines)) return numbered;
  }
  if (auto tagged = recognise_tagged(lines, place)) return tagged;
  return recognise_pattern(lines, asks ? patterns.user : patterns.system);
}

std::string render_context(std::span<const Document> documents, std::string_view question) {
  std::string text(kHeading);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (i > 0) text += "\n\n";
    text.append("[Document ").append(std::to_string(i + 1)).append("]: ");
    if (!documents[i].title.empty()) text += documents[i].title + '\n';
    text += documents[i].text;
  }
  if (!question.empty()) text.append(kQuestion).append(question);
  return text;
}

}  // namespace kvasir::rag
