#include "rag/context.hpp"

#include <utility>

namespace kvasir::rag {
namespace {

constexpr std::string_view kHeading = "Context:\n";
constexpr std::string_view kDocument = "[Document ";
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

std::string marker(std::size_t number) {
  return std::string(kDocument) + std::to_string(number) + "]:";
}

// True for "[Document <digits>]:" at the front of `text`, whatever the number.
bool starts_with_any_marker(std::string_view text) {
  if (!text.starts_with(kDocument)) return false;
  text.remove_prefix(kDocument.size());
  const auto digits = text.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos && text.substr(digits).starts_with("]:");
}

// Offset of the first "Context:" line that a document follows.
std::optional<std::size_t> find_heading(std::string_view text) {
  const std::string first = marker(1);
  for (auto at = text.find(kHeading); at != std::string_view::npos; at = text.find(kHeading, at + 1)) {
    const bool starts_line = at == 0 || text[at - 1] == '\n';
    if (starts_line && trim_front(text.substr(at + kHeading.size())).starts_with(first)) return at;
  }
  return std::nullopt;
}

// Offset of the next line of `text`, from `from` on, that starts with a marker; its size if there is none.
std::size_t next_marker(std::string_view text, std::size_t from) {
  for (auto line = text.find('\n', from); line != std::string_view::npos; line = text.find('\n', line + 1)) {
    if (starts_with_any_marker(text.substr(line + 1))) return line + 1;
  }
  return text.size();
}

// `text` begins with the first marker. Null when a number is out of turn.
std::optional<std::vector<Document>> split_documents(std::string_view text) {
  std::vector<Document> documents;
  while (!text.empty()) {
    const std::string expected = marker(documents.size() + 1);
    if (!text.starts_with(expected)) return std::nullopt;
    const std::size_t end = next_marker(text, expected.size());
    Document document;
    document.text = trim(text.substr(expected.size(), end - expected.size()));
    documents.push_back(std::move(document));
    text.remove_prefix(end);
  }
  return documents;
}

}  // namespace

std::optional<RecognisedContext> recognise_context(std::string_view text) {
  if (text.find("Context:") == std::string_view::npos) return std::nullopt;
  const std::string lines = with_unix_lines(text);
  const std::string_view view = lines;
  const auto heading = find_heading(view);
  const auto question = view.rfind(kQuestion);
  if (!heading || question == std::string_view::npos || question < *heading) return std::nullopt;

  const auto begin = *heading + kHeading.size();
  // The blank line before "Question:" may be the one that ends an empty document.
  if (question < begin) return std::nullopt;
  auto documents = split_documents(trim_front(view.substr(begin, question - begin)));
  const auto asked = view.substr(question + kQuestion.size());
  if (!documents || documents->empty() || trim(asked).empty()) return std::nullopt;
  return RecognisedContext{std::string(trim(view.substr(0, *heading))), std::move(*documents), std::string(asked)};
}

std::string render_context(std::span<const Document> documents, std::string_view question) {
  std::string text(kHeading);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (i > 0) text += "\n\n";
    text += marker(i + 1) + ' ';
    if (!documents[i].title.empty()) text += documents[i].title + '\n';
    text += documents[i].text;
  }
  if (!question.empty()) text.append(kQuestion).append(question);
  return text;
}

}  // namespace kvasir::rag
