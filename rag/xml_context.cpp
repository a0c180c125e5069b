#include "rag/xml_context.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace kvasir::rag {
namespace {

constexpr std::string_view kBlank = " \t\n\r";
constexpr std::string_view kAll = "<documents>";
constexpr std::string_view kAllEnd = "</documents>";
constexpr std::string_view kOne = "<document";
constexpr std::string_view kOneEnd = "</document>";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string_view skip_blank(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  return text;
}

// "<document>" or "<document …", not "<documents>" or "<document_content>".
bool opens_one(std::string_view text) {
  return text.starts_with(kOne) && text.size() > kOne.size() &&
         (text[kOne.size()] == '>' || kBlank.find(text[kOne.size()]) != std::string_view::npos);
}

// Where the first document, or the tag around all, begins.
std::size_t find_opening(std::string_view text) {
  for (auto at = text.find(kOne); at != std::string_view::npos; at = text.find(kOne, at + 1)) {
    if (text.substr(at).starts_with(kAll) || opens_one(text.substr(at))) return at;
  }
  return std::string_view::npos;
}

// Attributes without the one that only counts.
std::string telling(std::string_view attributes, std::size_t place) {
  attributes = trim(attributes);
  for (const std::string_view name : {"index", "id", "number"}) {
    for (const std::size_t number : {place, place + 1}) {
      for (const char quote : {'"', '\''}) {
        std::string counting(name);
        counting.append("=").append(1, quote).append(std::to_string(number)).append(1, quote);
        if (attributes == counting) return {};
        if (attributes.starts_with(counting + ' ')) return std::string(trim(attributes.substr(counting.size())));
      }
    }
  }
  return std::string(attributes);
}

// Takes one document off the front of `text`. False if a tag is not closed.
bool take_document(std::string_view& text, std::vector<Document>& documents) {
  const auto opened = text.find('>');
  const auto closed = text.find(kOneEnd);
  if (opened == std::string_view::npos || closed == std::string_view::npos || opened > closed) return false;
  Document document;
  document.title = telling(text.substr(kOne.size(), opened - kOne.size()), documents.size());
  document.text = trim(text.substr(opened + 1, closed - opened - 1));
  documents.push_back(std::move(document));
  text.remove_prefix(closed + kOneEnd.size());
  return true;
}

}  // namespace

std::optional<XmlDocuments> find_xml_documents(std::string_view text) {
  const auto opening = find_opening(text);
  if (opening == std::string_view::npos) return std::nullopt;
  XmlDocuments found;
  found.before = trim(text.substr(0, opening));
  std::string_view rest = text.substr(opening);
  const bool framed = rest.starts_with(kAll);
  if (framed) rest.remove_prefix(kAll.size());
  for (rest = skip_blank(rest); opens_one(rest); rest = skip_blank(rest)) {
    if (!take_document(rest, found.documents)) return std::nullopt;
  }
  if (framed && !rest.starts_with(kAllEnd)) return std::nullopt;
  if (framed) rest.remove_prefix(kAllEnd.size());
  if (found.documents.empty()) return std::nullopt;
  found.after = trim(rest);
  return found;
}

}  // namespace kvasir::rag
