#include "engine/token_trie.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <bitset>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxTokenBytes = 1024;

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const std::size_t limit = std::min(a.size(), b.size());
  std::size_t same = 0;
  while (same < limit && a[same] == b[same]) ++same;
  return same;
}

// Characters of a plain token; 0 if it is none.
std::size_t plain_characters(std::string_view bytes) {
  std::size_t characters = 0;
  while (!bytes.empty()) {
    const Utf8Character next = decode_utf8(bytes);
    const char32_t c = next.code_point;
    if (next.status != Utf8Status::valid || c < 0x20 || c == U'"' || c == U'\\') return 0;
    bytes.remove_prefix(next.bytes);
    ++characters;
  }
  return characters;
}

}  // namespace

TokenTree TokenTree::of(std::span<const std::pair<std::string_view, TokenId>> sorted) {
  TokenTree tree;
  std::vector<std::uint32_t> path;  // nodes from the root down
  const auto close = [&](std::size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      tree.nodes[path.back()].end = static_cast<std::uint32_t>(tree.nodes.size());
    }
  };
  std::string_view previous;
  for (const auto& [bytes, token] : sorted) {
    close(common_prefix(previous, bytes));
    while (path.size() < bytes.size()) {
      Node node;
      node.byte = static_cast<std::uint8_t>(bytes[path.size()]);
      node.first_token = static_cast<std::uint32_t>(tree.tokens.size());
      path.push_back(static_cast<std::uint32_t>(tree.nodes.size()));
      node.depth = static_cast<std::uint16_t>(path.size());
      tree.nodes.push_back(node);
    }
    ++tree.nodes[path.back()].count;
    tree.tokens.push_back(token);
    previous = bytes;
  }
  close(0);
  return tree;
}

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : vocabulary_(tokenizer.size()) {
  std::vector<std::pair<std::string_view, TokenId>> sorted;
  std::vector<std::pair<std::string_view, TokenId>> not_plain;
  std::vector<std::pair<std::size_t, TokenId>> plain;
  std::bitset<256> spelled;
  for (TokenId token = 0; token < tokenizer.size(); ++token) {
    if (tokenizer.ends_generation(token)) {
      ends_.push_back(token);
      continue;
    }
    const std::string_view bytes = tokenizer.bytes(token);
    if (bytes.empty() || bytes.size() > kMaxTokenBytes) continue;
    if (bytes.size() == 1) spelled.set(static_cast<std::uint8_t>(bytes[0]));
    max_depth_ = std::max(max_depth_, bytes.size());
    sorted.emplace_back(bytes, token);
    if (const std::size_t characters = plain_characters(bytes); characters > 0) {
      plain.emplace_back(characters, token);
    } else {
      not_plain.emplace_back(bytes, token);
    }
  }
  for (unsigned byte = 0x20; byte < 0xC0; ++byte)
    if (byte != 0x7F) spells_json_ = spells_json_ && spelled[byte];
  std::sort(sorted.begin(), sorted.end());
  std::sort(not_plain.begin(), not_plain.end());
  std::sort(plain.begin(), plain.end());
  all_ = TokenTree::of(sorted);
  not_plain_ = TokenTree::of(not_plain);
  for (const auto& [characters, token] : plain) {
    plain_ends_.resize(characters + 1, plain_.size());
    plain_.push_back(token);
    plain_ends_[characters] = plain_.size();
  }
}

std::span<const TokenId> TokenTrie::plain(std::uint32_t characters) const {
  return std::span(plain_).first(characters < plain_ends_.size() ? plain_ends_[characters] : plain_.size());
}

}  // namespace kvasir::engine
