// The values of a template: what Python would hold, as far as chat templates go.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kvasir::engine::jinja {

class Budget;
class Value;
struct Macro;  // a template's macro, by its place in the syntax tree

using List = std::vector<Value>;

// Keys in the order of their insertion.
struct Dict {
  std::vector<std::pair<std::string, Value>> entries;

  const Value* find(std::string_view key) const;
  void set(std::string_view key, Value value);
};

struct Undefined {
  std::string name;  // what was looked up
  bool operator==(const Undefined&) const { return true; }
};
struct None {
  bool operator==(const None&) const = default;
};
// A function that the interpreter provides.
struct Builtin {
  std::string_view name;
  bool operator==(const Builtin&) const = default;
};

// Strings, lists and dictionaries are shared, as in Python: copying a Value never copies what is in it. Only a
// namespace is ever changed after it was made.
class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const std::string>,
                               std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Dict>, Builtin,
                               const Macro*>;

  Value() = default;
  Value(None none) : storage_(none) {}
  Value(bool truth) : storage_(truth) {}
  Value(std::int64_t number) : storage_(number) {}
  Value(double number) : storage_(number) {}
  Value(std::string text) : storage_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  // Throw when nested too deeply or holding a namespace: destruction recurses, and a cycle would never end.
  Value(List list);
  Value(Dict dict);
  Value(Builtin builtin) : storage_(builtin) {}
  Value(const Macro* macro) : storage_(macro) {}
  static Value undefined(std::string_view name);  // keeps the first part of a long name
  static Value make_namespace(Dict entries);

  template <typename T>
  const T* get() const {
    return std::get_if<T>(&storage_);
  }
  const std::string* text() const;
  const List* list() const;
  const Dict* dict() const;         // of a dictionary or a namespace
  Dict* namespace_entries() const;  // nullptr: not a namespace
  bool is_undefined() const { return get<Undefined>() != nullptr; }
  bool is_none() const { return get<None>() != nullptr; }
  bool is_number() const { return get<std::int64_t>() != nullptr || get<double>() != nullptr; }
  // Python's bool is an integer, too.
  bool is_integer_like() const { return get<std::int64_t>() != nullptr || get<bool>() != nullptr; }
  std::int64_t integer() const;  // of an integer or a bool; else 0
  double number() const;         // of anything numeric; else 0

  bool truthy() const;
  std::string_view type_name() const;
  // What walks through a value spends from the budget on its way.
  // Python's ==.
  bool equals(const Value& other, Budget& budget) const;
  // As {{ }} writes it: Python's str(). Nested strings are quoted.
  std::string to_text(Budget& budget) const;
  // As HF's templates see it: json.dumps(ensure_ascii=False). indent < 0: one line.
  std::string to_json(Budget& budget, int indent = -1) const;

 private:
  static constexpr int kMaxDepth = 100;

  Storage storage_;
  int depth_ = 0;  // of the lists and dictionaries inside
};

// An error of the template, or one that it raises. Thrown inside the interpreter only: ChatTemplate makes it a value.
class TemplateError : public std::runtime_error {
 public:
  enum class Kind { syntax, evaluation, raised };
  TemplateError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

[[noreturn]] void fail_evaluation(const std::string& message);

}  // namespace kvasir::engine::jinja
