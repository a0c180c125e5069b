#include "engine/json_string_grammar.hpp"

#include <string_view>

namespace kvasir::engine {

GrammarBuilder::Node add_json_string(GrammarBuilder& b, std::uint32_t min, std::uint32_t max) {
  using Node = GrammarBuilder::Node;
  const Node start = b.add_node();
  const Node next = b.add_node();  // before each character
  const Node character = b.add_node();
  const Node done = b.add_node();
  const Node end = b.add_node();
  b.add_edge(start, '"', '"', next);
  b.repeat(next, min, max, character, done);
  b.mark_any_character(character, max);
  b.add_edge(done, '"', '"', end);
  b.leave(end);

  b.add_edge(character, 0x20, 0x21, next);
  b.add_edge(character, 0x23, 0x5B, next);
  b.add_edge(character, 0x5D, 0x7F, next);
  const auto tail = [&](std::uint8_t first, std::uint8_t last, Node to) {
    const Node node = b.add_node();
    b.add_edge(node, first, last, to);
    return node;
  };
  const Node tail1 = tail(0x80, 0xBF, next);
  const Node tail2 = tail(0x80, 0xBF, tail1);
  const Node tail3 = tail(0x80, 0xBF, tail2);
  b.add_edge(character, 0xC2, 0xDF, tail1);
  b.add_edge(character, 0xE0, 0xE0, tail(0xA0, 0xBF, tail1));
  b.add_edge(character, 0xE1, 0xEC, tail2);
  b.add_edge(character, 0xED, 0xED, tail(0x80, 0x9F, tail1));
  b.add_edge(character, 0xEE, 0xEF, tail2);
  b.add_edge(character, 0xF0, 0xF0, tail(0x90, 0xBF, tail2));
  b.add_edge(character, 0xF1, 0xF3, tail3);
  b.add_edge(character, 0xF4, 0xF4, tail(0x80, 0x8F, tail2));

  const auto hexadecimal = [&](Node to) {
    const Node node = b.add_node();
    b.add_edge(node, '0', '9', to);
    b.add_edge(node, 'A', 'F', to);
    b.add_edge(node, 'a', 'f', to);
    return node;
  };
  const auto letter = [&](Node from, char lower_first, char lower_last, Node to) {
    b.add_edge(from, static_cast<std::uint8_t>(lower_first), static_cast<std::uint8_t>(lower_last), to);
    b.add_edge(from, static_cast<std::uint8_t>(lower_first - 32), static_cast<std::uint8_t>(lower_last - 32), to);
  };
  const Node escape = b.add_node();
  b.add_edge(character, '\\', '\\', escape);
  for (const char c : std::string_view("\"\\/bfnrt"))
    b.add_edge(escape, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c), next);
  const Node unicode = b.add_node();
  b.add_edge(escape, 'u', 'u', unicode);
  const Node two_more = hexadecimal(hexadecimal(next));
  const Node three_more = hexadecimal(two_more);
  b.add_edge(unicode, '0', '9', three_more);
  letter(unicode, 'a', 'c', three_more);
  letter(unicode, 'e', 'f', three_more);
  const Node behind_d = b.add_node();
  letter(unicode, 'd', 'd', behind_d);
  b.add_edge(behind_d, '0', '7', two_more);
  const Node low_digit = b.add_node();
  letter(low_digit, 'c', 'f', two_more);
  const Node low_d = b.add_node();
  letter(low_d, 'd', 'd', low_digit);
  const Node pair = hexadecimal(hexadecimal(tail('\\', '\\', tail('u', 'u', low_d))));
  b.add_edge(behind_d, '8', '9', pair);
  letter(behind_d, 'a', 'b', pair);
  return start;
}

}  // namespace kvasir::engine
