#include "rag/passages.hpp"

#include "rag/xml_context.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace kvasir::rag {
namespace {

constexpr std::string_view kDocument = "[Document ";
constexpr std::string_view kBlank = " \t\n\r";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
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

// Offset of the next line of `text`, from `from` on, that starts with a marker; its size if there is none.
std::size_t next_marker(std::string_view text, std::size_t from) {
  for (auto line = text.find('\n', from); line != std::string_view::npos; line = text.find('\n', line + 1)) {
    if (starts_with_any_marker(text.substr(line + 1))) return line + 1;
  }
  return text.size();
}

// "page_label: 12"
bool is_metadata(std::string_view line) {
  constexpr std::size_t longest_name = 40;
  const auto colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon > longest_name) return false;
  const auto name = line.substr(0, colon);
  const auto of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return std::ranges::all_of(name, of_name) && (colon + 1 == line.size() || line[colon + 1] == ' ');
}

std::vector<Document> split_paragraphs(std::string_view text) {
  std::vector<Document> documents;
  std::string passage;
  bool only_metadata = true;
  const auto end_passage = [&] {
    if (const auto whole = trim(passage); !whole.empty()) documents.push_back({{}, std::string(whole), {}, {}, {}});
    passage.clear();
    only_metadata = true;
  };
  while (!text.empty()) {
    const auto length = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (trim(line).empty()) {
      if (!only_metadata) end_passage();
    } else {
      only_metadata = only_metadata && is_metadata(trim(line));
    }
    if (!passage.empty() || !trim(line).empty()) passage.append(line).append("\n");
  }
  end_passage();
  return documents;
}

}  // namespace

std::optional<std::vector<Document>> split_numbered(std::string_view text) {
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

std::vector<Document> split_passages(std::string_view text) {
  text = trim(text);
  if (text.starts_with(marker(1))) {
    if (auto documents = split_numbered(text)) return std::move(*documents);
  }
  if (const auto tagged = find_xml_documents(text)) {
    if (tagged->before.empty() && tagged->after.empty()) return tagged->documents;
  }
  return split_paragraphs(text);
}

}  // namespace kvasir::rag
