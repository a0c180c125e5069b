// Documents between tags, as Anthropic's guides and many prompts write them.
#pragma once

#include "rag/prompt.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace kvasir::rag {

struct XmlDocuments {
  std::string_view before;  // trimmed
  std::vector<Document> documents;
  std::string_view after;  // trimmed
};

// The first run of <document …>…</document>, within <documents> or not. A document's text is what its tags hold, other
// tags included; its title is the tag's attributes, but those that only count ("index", "id" or "number" with its place
// from 0 or 1). Null when there is none, or a tag is not closed. Linear in the text's length.
std::optional<XmlDocuments> find_xml_documents(std::string_view text);

}  // namespace kvasir::rag
