#include "engine/jinja_parser.hpp"

#include "engine/jinja_expression_parser.hpp"
#include "engine/jinja_token_stream.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace kvasir::engine::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_, template_.names) {}

  Template run() {
    template_.body = parse_block({});
    if (tokens_.peek().kind != TokenKind::end) tokens_.fail("nothing is open that could end at");
    return std::move(template_);
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Statements up to one of the tags in `ends`, which is left, or the end of the template.
  Block parse_block(Ends ends) {
    const Nesting nesting(depth_, tokens_);
    Block block;
    for (;;) {
      const TokenKind kind = tokens_.peek().kind;
      const bool tag = kind == TokenKind::block_begin && !at_end_tag(ends);
      if (!tag && kind != TokenKind::text && kind != TokenKind::output_begin) return block;
      Statement& statement = block.emplace_back();
      statement.line = tokens_.line();
      Token first = tokens_.next();
      if (tag) {
        parse_statement(statement);
      } else if (kind == TokenKind::text) {
        statement.node.emplace<Text>().text = std::move(first.text);
      } else {
        statement.node.emplace<Output>().value = expressions_.parse();
        tokens_.expect(TokenKind::output_end, "}}");
      }
    }
  }

  bool at_end_tag(Ends ends) const {
    const Token& name = tokens_.peek(1);
    if (name.kind != TokenKind::name) return false;
    return std::find(ends.begin(), ends.end(), name.text) != ends.end() || name.text.starts_with("end") ||
           name.text == "else" || name.text == "elif";
  }

  // Takes {% name %}, which must come now, or says since where it is missing.
  void end_tag(std::string_view name, std::string_view construct, int opened) {
    if (tokens_.peek().kind != TokenKind::block_begin || !tokens_.is(TokenKind::name, name, 1)) {
      tokens_.fail(fmt::format("the {} of line {} is not closed with {} before", construct, opened, name));
    }
    tokens_.next();
    tokens_.next();
    close_tag();
  }

  void close_tag() { tokens_.expect(TokenKind::block_end, "%}"); }

  bool take_tag(std::string_view name) {
    if (tokens_.peek().kind != TokenKind::block_begin || !tokens_.is(TokenKind::name, name, 1)) return false;
    tokens_.next();
    tokens_.next();
    return true;
  }

  void parse_statement(Statement& statement) {
    const int line = statement.line;
    if (tokens_.take_name("if")) {
      statement.node.emplace<If>(parse_if(line));
    } else if (tokens_.take_name("for")) {
      statement.node.emplace<For>(parse_for(line));
    } else if (tokens_.take_name("set")) {
      statement.node.emplace<Set>(parse_set(line));
    } else if (tokens_.take_name("macro")) {
      statement.node.emplace<MacroDefinition>(parse_macro(line));
    } else if (tokens_.take_name("generation")) {
      statement.node.emplace<Group>(parse_generation(line));
    } else if (tokens_.is_name("break") || tokens_.is_name("continue")) {
      statement.node.emplace<LoopControl>(parse_loop_control());
    } else {
      tokens_.fail("this kind of tag is not supported:");
    }
  }

  LoopControl parse_loop_control() {
    if (loops_ == 0) tokens_.fail("no loop is open for");
    const LoopControl control{tokens_.next().text == "break"};
    close_tag();
    return control;
  }

  If parse_if(int line) {
    If statement;
    const auto branch = [&](ExpressionPtr condition) {
      close_tag();
      Block body = parse_block({"elif", "else", "endif"});
      statement.branches.push_back({std::move(condition), std::move(body)});
    };
    branch(expressions_.parse());
    while (take_tag("elif")) branch(expressions_.parse());
    if (take_tag("else")) branch(nullptr);
    end_tag("endif", "if", line);
    return statement;
  }

  std::vector<std::string> parse_targets() {
    std::vector<std::string> targets;
    const bool parenthesized = tokens_.take_op("(");
    do {
      targets.push_back(tokens_.expect_name());
      template_.names.insert(targets.back());
    } while (tokens_.take_op(","));
    if (parenthesized) tokens_.expect_op(")");
    return targets;
  }

  For parse_for(int line) {
    For loop;
    loop.targets = parse_targets();
    if (!tokens_.take_name("in")) tokens_.fail("expected 'in' before");
    loop.iterable = expressions_.parse_iterable();
    if (tokens_.take_name("if")) loop.condition = expressions_.parse_conditional();
    close_tag();
    ++loops_;
    loop.body = parse_block({"else", "endfor"});
    --loops_;
    if (take_tag("else")) {
      close_tag();
      loop.otherwise = parse_block({"endfor"});
    }
    end_tag("endfor", "for", line);
    return loop;
  }

  Set parse_set(int line) {
    Set statement;
    statement.targets = parse_targets();
    if (statement.targets.size() == 1 && tokens_.take_op(".")) statement.attribute = tokens_.expect_name();
    if (tokens_.take_op("=")) {
      statement.value = expressions_.parse();
      close_tag();
      return statement;
    }
    close_tag();
    statement.body = parse_block({"endset"});
    end_tag("endset", "set", line);
    return statement;
  }

  MacroDefinition parse_macro(int line) {
    auto macro = std::make_unique<Macro>();
    macro->name = tokens_.expect_name();
    tokens_.expect_op("(");
    while (!tokens_.is_op(")")) {
      Parameter parameter;
      parameter.name = tokens_.expect_name();
      if (tokens_.take_op("=")) parameter.otherwise = expressions_.parse_conditional();
      macro->parameters.push_back(std::move(parameter));
      if (!tokens_.take_op(",")) break;
    }
    tokens_.expect_op(")");
    close_tag();
    const int outer_loops = std::exchange(loops_, 0);
    macro->body = parse_block({"endmacro"});
    loops_ = outer_loops;
    end_tag("endmacro", "macro", line);
    return {std::move(macro)};
  }

  Group parse_generation(int line) {
    close_tag();
    Group group;
    group.body = parse_block({"endgeneration"});
    end_tag("endgeneration", "generation", line);
    return group;
  }

  Template template_;
  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Template parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace kvasir::engine::jinja
