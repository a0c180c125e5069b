// Retrieved passages in one piece of text, told apart again.
#pragma once

#include "rag/prompt.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace kvasir::rag {

// "[Document 1]: …\n[Document 2]: …": `text` begins with the first marker. Null when a number is out of turn.
std::optional<std::vector<Document>> split_numbered(std::string_view text);

// By their markers ("[Document 1]:", "<document>"), else at blank lines. Lines of metadata ("file_path: a.md") stay
// with the passage behind them. Lines end with LF.
std::vector<Document> split_passages(std::string_view text);

}  // namespace kvasir::rag
