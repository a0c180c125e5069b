#include "engine/jinja_evaluator.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

constexpr int kMaxDepth = 400;  // of statements, expressions and macro calls inside each other

// Why a block ended.
enum class Flow { done, next_iteration, leave_loop };

class Evaluator {
 public:
  Evaluator(Dict variables, Budget budget) : budget_(budget) { frames_.push_back(std::move(variables)); }

  std::string run(const Template& parsed) {
    try {
      execute(parsed.body);
    } catch (const TemplateError& error) {
      if (error.kind() != TemplateError::Kind::evaluation) throw;
      throw TemplateError(error.kind(), fmt::format("line {}: {}", line_, error.what()));
    }
    return std::move(output_);
  }

 private:
  class Depth {
   public:
    explicit Depth(int& depth) : depth_(&depth) {
      if (++depth > kMaxDepth) {
        --depth;
        fail_evaluation("the template recurses too deeply");
      }
    }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    ~Depth() { --*depth_; }

   private:
    int* depth_;
  };

  // Variables that end with a loop or a macro call.
  class Scope {
   public:
    explicit Scope(std::vector<Dict>& frames) : frames_(&frames) { frames.emplace_back(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { frames_->pop_back(); }

   private:
    std::vector<Dict>* frames_;
  };

  void write(std::string_view text) {
    budget_.spend_bytes(text.size());
    output_ += text;
  }

  Flow execute(const Block& block) {
    for (const Statement& statement : block) {
      const Flow flow = execute(statement);
      if (flow != Flow::done) return flow;
    }
    return Flow::done;
  }

  Flow execute(const Statement& statement) {
    const Depth depth(depth_);
    line_ = statement.line;
    budget_.spend_step();
    return std::visit([&](const auto& node) { return run_statement(node); }, statement.node);
  }

  Flow run_statement(const Text& text) {
    write(text.text);
    return Flow::done;
  }

  Flow run_statement(const Output& output) {
    output_ += evaluate(*output.value).to_text(budget_);
    return Flow::done;
  }

  Flow run_statement(const If& statement) {
    for (const Branch& branch : statement.branches) {
      if (branch.condition == nullptr || evaluate(*branch.condition).truthy()) return execute(branch.body);
    }
    return Flow::done;
  }

  Flow run_statement(const For& loop) {
    const List all = loop_elements(loop);
    if (all.empty()) return execute(loop.otherwise);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Scope scope(frames_);
      assign(loop.targets, all[i]);
      frames_.back().set("loop", loop_state(all, i));
      if (execute(loop.body) == Flow::leave_loop) break;
    }
    return Flow::done;
  }

  // The elements that pass the loop's condition; it is evaluated before the body ever runs.
  List loop_elements(const For& loop) {
    List all = elements(evaluate(*loop.iterable), budget_);
    if (loop.condition == nullptr) return all;
    List passed;
    for (Value& element : all) {
      const Scope scope(frames_);
      assign(loop.targets, element);
      if (evaluate(*loop.condition).truthy()) passed.push_back(std::move(element));
    }
    return passed;
  }

  static Value loop_state(const List& all, std::size_t i) {
    const auto index = static_cast<std::int64_t>(i);
    const auto size = static_cast<std::int64_t>(all.size());
    const auto neighbour = [&](bool exists, std::size_t at, std::string_view name) {
      return exists ? all[at] : Value::undefined(name);
    };
    return Dict{{{"index", index + 1},
                 {"index0", index},
                 {"first", i == 0},
                 {"last", i + 1 == all.size()},
                 {"length", size},
                 {"revindex", size - index},
                 {"revindex0", size - index - 1},
                 {"previtem", neighbour(i > 0, i - 1, "previtem")},
                 {"nextitem", neighbour(i + 1 < all.size(), i + 1, "nextitem")}}};
  }

  void assign(const std::vector<std::string>& targets, const Value& value) {
    budget_.spend_search(targets.size() * frames_.back().entries.size());
    if (targets.size() == 1) return frames_.back().set(targets.front(), value);
    const List parts = elements(value, budget_);
    if (parts.size() != targets.size()) {
      fail_evaluation(fmt::format("{} values cannot be assigned to {} names", parts.size(), targets.size()));
    }
    for (std::size_t i = 0; i < targets.size(); ++i) frames_.back().set(targets[i], parts[i]);
  }

  Flow run_statement(const Set& statement) {
    Value value;
    Flow flow = Flow::done;
    if (statement.value != nullptr) {
      value = evaluate(*statement.value);
    } else {
      value = capture([&] { flow = execute(statement.body); });
    }
    if (statement.attribute.empty()) {
      assign(statement.targets, value);
      return flow;
    }
    const Value target = look_up(statement.targets.front());
    Dict* entries = target.namespace_entries();
    if (entries == nullptr) fail_evaluation(fmt::format("'{}' is not a namespace", statement.targets.front()));
    if (value.namespace_entries() != nullptr) fail_evaluation("a namespace cannot hold a namespace");
    budget_.spend_search(entries->entries.size());
    entries->set(statement.attribute, std::move(value));
    return flow;
  }

  Flow run_statement(const MacroDefinition& definition) {
    frames_.back().set(definition.macro->name, definition.macro.get());
    return Flow::done;
  }

  Flow run_statement(const Group& group) { return execute(group.body); }

  Flow run_statement(const LoopControl& control) { return control.leave ? Flow::leave_loop : Flow::next_iteration; }

  // What `body` writes.
  template <typename Body>
  std::string capture(Body body) {
    std::string outer = std::exchange(output_, {});
    body();
    return std::exchange(output_, std::move(outer));
  }

  Value look_up(const std::string& name) {
    for (std::size_t i = frames_.size(); i > macro_base_; --i) {
      budget_.spend_search(frames_[i - 1].entries.size());
      if (const Value* found = frames_[i - 1].find(name)) return *found;
    }
    budget_.spend_search(frames_.front().entries.size());
    if (const Value* found = frames_.front().find(name)) return *found;
    return is_function(name) ? Value(Builtin{name}) : Value::undefined(name);
  }

  Value evaluate(const Expression& expression) {
    const Depth depth(depth_);
    line_ = expression.line;
    budget_.spend_step();
    return std::visit([&](const auto& node) { return value_of(node); }, expression.node);
  }

  // An absent part of a slice is none.
  Value evaluate_or_none(const ExpressionPtr& expression) {
    return expression == nullptr ? Value(None{}) : evaluate(*expression);
  }

  Value value_of(const Literal& literal) { return literal.value; }
  Value value_of(const Name& name) { return look_up(name.name); }

  Value value_of(const ListLiteral& literal) {
    budget_.spend_elements(literal.elements.size());
    List list;
    for (const ExpressionPtr& element : literal.elements) list.push_back(evaluate(*element));
    return list;
  }

  Value value_of(const DictLiteral& literal) {
    budget_.spend_elements(2 * literal.entries.size());
    Dict dict;
    for (const auto& [key, value] : literal.entries) {
      budget_.spend_search(dict.entries.size());
      const std::string name = evaluate(*key).to_text(budget_);
      dict.set(name, evaluate(*value));
    }
    return dict;
  }

  Value value_of(const Attribute& node) { return attribute(evaluate(*node.object), node.name, budget_); }

  Value value_of(const Index& node) {
    const Value object = evaluate(*node.object);
    return subscript(object, evaluate(*node.key), budget_);
  }

  Value value_of(const Slice& node) {
    const Value object = evaluate(*node.object);
    const Value start = evaluate_or_none(node.start);
    const Value stop = evaluate_or_none(node.stop);
    return slice(object, start, stop, evaluate_or_none(node.step), budget_);
  }

  Value value_of(const Filter& node) {
    const Value object = evaluate(*node.object);
    return apply_filter(node.name, object, evaluate_arguments(node.arguments), budget_);
  }

  Value value_of(const Test& node) {
    const Value object = evaluate(*node.object);
    return apply_test(node.name, object, evaluate_arguments(node.arguments), budget_) != node.negated;
  }

  Value value_of(const Unary& node) { return apply_unary(node.op, evaluate(*node.operand)); }

  Value value_of(const Binary& node) {
    Value left = evaluate(*node.left);
    if (node.op == BinaryOperator::logical_and) return left.truthy() ? evaluate(*node.right) : left;
    if (node.op == BinaryOperator::logical_or) return left.truthy() ? left : evaluate(*node.right);
    return apply_binary(node.op, left, evaluate(*node.right), budget_);
  }

  Value value_of(const Compare& node) {
    Value left = evaluate(*node.first);
    for (const auto& [comparison, expression] : node.rest) {
      Value right = evaluate(*expression);
      if (!compare(comparison, left, right, budget_)) return false;
      left = std::move(right);
    }
    return true;
  }

  Value value_of(const Conditional& node) {
    if (evaluate(*node.condition).truthy()) return evaluate(*node.then);
    return node.otherwise == nullptr ? Value::undefined("the value without else") : evaluate(*node.otherwise);
  }

  Value value_of(const Call& node) {
    if (const auto* method = std::get_if<Attribute>(&node.callee->node)) {
      const Value object = evaluate(*method->object);
      const CallArguments arguments = evaluate_arguments(node.arguments);
      if (has_method(object, method->name)) return call_method(object, method->name, arguments, budget_);
      return call(attribute(object, method->name, budget_), method->name, arguments);
    }
    const Value callee = evaluate(*node.callee);
    const auto* name = std::get_if<Name>(&node.callee->node);
    return call(callee, name == nullptr ? "" : name->name, evaluate_arguments(node.arguments));
  }

  Value call(const Value& callee, const std::string& name, const CallArguments& arguments) {
    if (const auto* builtin = callee.get<Builtin>()) return call_function(builtin->name, arguments, budget_);
    if (const auto* macro = callee.get<const Macro*>()) return call_macro(**macro, arguments);
    fail_evaluation(fmt::format("'{}' is {} and cannot be called", name, callee.type_name()));
  }

  CallArguments evaluate_arguments(const Arguments& expressions) {
    CallArguments arguments;
    for (const ExpressionPtr& expression : expressions.positional)
      arguments.positional.push_back(evaluate(*expression));
    for (const auto& [name, expression] : expressions.named) arguments.named.emplace_back(name, evaluate(*expression));
    return arguments;
  }

  // A macro sees its parameters and the outermost variables, not those of its caller.
  Value call_macro(const Macro& macro, const CallArguments& arguments) {
    if (arguments.positional.size() > macro.parameters.size()) {
      fail_evaluation(fmt::format("macro '{}' takes at most {} arguments", macro.name, macro.parameters.size()));
    }
    Dict parameters;
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
      const Parameter& parameter = macro.parameters[i];
      const Value* given = arguments.find(i, parameter.name);
      parameters.set(parameter.name, given != nullptr                 ? *given
                                     : parameter.otherwise != nullptr ? evaluate(*parameter.otherwise)
                                                                      : Value::undefined(parameter.name));
    }
    const std::size_t caller_base = std::exchange(macro_base_, frames_.size());
    std::string text;
    {
      const Scope scope(frames_);
      frames_.back() = std::move(parameters);
      text = capture([&] { execute(macro.body); });
    }
    macro_base_ = caller_base;
    return text;
  }

  std::vector<Dict> frames_;    // the outermost first
  std::size_t macro_base_ = 0;  // frames before this belong to callers of the running macro
  std::string output_;
  Budget budget_;
  int depth_ = 0;
  int line_ = 1;
};

}  // namespace

std::string evaluate(const Template& parsed, Dict variables, Budget budget) {
  return Evaluator(std::move(variables), budget).run(parsed);
}

}  // namespace kvasir::engine::jinja
