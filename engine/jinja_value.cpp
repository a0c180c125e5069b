#include "engine/jinja_value.hpp"

#include "engine/jinja_budget.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  std::string text(buffer.data(), end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quote(std::string_view text, char mark, bool json) {
  std::string quoted(1, mark);
  for (const char c : text) {
    switch (c) {
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      case '\t':
        quoted += "\\t";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      default:
        if (c == mark) {
          quoted += '\\';
          quoted += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
          quoted += fmt::format(fmt::runtime(json ? "\\u{:04x}" : "\\x{:02x}"), static_cast<unsigned char>(c));
        } else {
          quoted += c;
        }
    }
  }
  return quoted + mark;
}

// Python's repr prefers single quotes, unless only they would need a backslash.
std::string python_quote(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  return quote(text, has_single && text.find('"') == std::string_view::npos ? '"' : '\'', false);
}

class Writer {
 public:
  Writer(bool json, int indent, Budget& budget) : json_(json), indent_(indent), budget_(budget) {}

  std::string write(const Value& value) {
    append(value, 0);
    return std::move(out_);
  }

 private:
  void append(const Value& value, int depth) {
    if (const auto* text = value.text()) {
      put_quoted(*text);
    } else if (const auto* list = value.list()) {
      sequence('[', ']', list->size(), depth, [&](std::size_t i) { append((*list)[i], depth + 1); });
    } else if (const auto* dict = value.dict()) {
      sequence('{', '}', dict->entries.size(), depth, [&](std::size_t i) {
        const auto& [key, element] = dict->entries[i];
        put_quoted(key);
        put(": ");
        append(element, depth + 1);
      });
    } else if (const auto* truth = value.get<bool>(); truth != nullptr && json_) {
      put(*truth ? "true" : "false");
    } else if (value.is_none() && json_) {
      put("null");
    } else if (value.is_undefined() && !json_) {
      put("Undefined");
    } else if (json_ && !value.is_number()) {
      fail_evaluation(fmt::format("{} cannot be written as JSON", value.type_name()));
    } else {
      out_ += value.to_text(budget_);
    }
  }

  void put(std::string_view text) {
    budget_.spend_bytes(text.size());
    out_ += text;
  }

  void put_quoted(std::string_view text) { put(json_ ? quote(text, '"', true) : python_quote(text)); }

  template <typename Element>
  void sequence(char open, char close, std::size_t size, int depth, Element element) {
    put({&open, 1});
    for (std::size_t i = 0; i < size; ++i) {
      if (i > 0) put(indent_ < 0 ? ", " : ",");
      new_line(depth + 1);
      element(i);
    }
    if (size > 0) new_line(depth);
    put({&close, 1});
  }

  void new_line(int depth) {
    if (indent_ < 0) return;
    const auto width = static_cast<std::size_t>(indent_ * depth);
    budget_.spend_bytes(1 + width);
    out_.append("\n").append(width, ' ');
  }

  bool json_;
  int indent_;
  Budget& budget_;
  std::string out_;
};

}  // namespace

void fail_evaluation(const std::string& message) {
  throw TemplateError(TemplateError::Kind::evaluation, message);
}

const Value* Dict::find(std::string_view key) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  return found == entries.end() ? nullptr : &found->second;
}

void Dict::set(std::string_view key, Value value) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  if (found != entries.end()) {
    found->second = std::move(value);
  } else {
    entries.emplace_back(key, std::move(value));
  }
}

Value::Value(List list) {
  for (const Value& element : list) depth_ = std::max(depth_, element.depth_ + 1);
  if (depth_ > kMaxDepth) fail_evaluation("a list is nested too deeply or holds a namespace");
  storage_ = std::make_shared<const List>(std::move(list));
}

Value::Value(Dict dict) {
  for (const auto& entry : dict.entries) depth_ = std::max(depth_, entry.second.depth_ + 1);
  if (depth_ > kMaxDepth) fail_evaluation("a dictionary is nested too deeply or holds a namespace");
  storage_ = std::make_shared<const Dict>(std::move(dict));
}

Value Value::undefined(std::string_view name) {
  constexpr std::size_t kShownBytes = 200;
  std::size_t shown = std::min(name.size(), kShownBytes);
  const auto inside_character = [&] { return (static_cast<unsigned char>(name[shown]) & 0xC0) == 0x80; };
  while (shown > 0 && shown < name.size() && inside_character()) --shown;
  Value value;
  value.storage_ = Undefined{std::string(name.substr(0, shown))};
  return value;
}

Value Value::make_namespace(Dict entries) {
  Value value;
  value.storage_ = std::make_shared<Dict>(std::move(entries));
  value.depth_ = kMaxDepth;
  return value;
}

const std::string* Value::text() const {
  const auto* text = get<std::shared_ptr<const std::string>>();
  return text == nullptr ? nullptr : text->get();
}

const List* Value::list() const {
  const auto* list = get<std::shared_ptr<const List>>();
  return list == nullptr ? nullptr : list->get();
}

const Dict* Value::dict() const {
  if (const auto* dict = get<std::shared_ptr<const Dict>>()) return dict->get();
  return namespace_entries();
}

Dict* Value::namespace_entries() const {
  const auto* entries = get<std::shared_ptr<Dict>>();
  return entries == nullptr ? nullptr : entries->get();
}

std::int64_t Value::integer() const {
  if (const auto* number = get<std::int64_t>()) return *number;
  const auto* truth = get<bool>();
  return truth != nullptr && *truth ? 1 : 0;
}

double Value::number() const {
  const auto* number = get<double>();
  return number != nullptr ? *number : static_cast<double>(integer());
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_number() || get<bool>() != nullptr) return number() != 0;
  if (const auto* text = this->text()) return !text->empty();
  if (const auto* list = this->list()) return !list->empty();
  if (const auto* dict = get<std::shared_ptr<const Dict>>()) return !(*dict)->entries.empty();
  return true;
}

bool Value::equals(const Value& other, Budget& budget) const {
  budget.spend_step();
  const auto numeric = [](const Value& value) { return value.is_number() || value.get<bool>() != nullptr; };
  if (numeric(*this) && numeric(other)) {
    return is_integer_like() && other.is_integer_like() ? integer() == other.integer() : number() == other.number();
  }
  const auto equal = [&](const Value& a, const Value& b) { return a.equals(b, budget); };
  if (text() != nullptr && other.text() != nullptr) {
    budget.spend_reading(std::min(text()->size(), other.text()->size()));
    return *text() == *other.text();
  }
  if (list() != nullptr && other.list() != nullptr) {
    return list() == other.list() ||
           std::equal(list()->begin(), list()->end(), other.list()->begin(), other.list()->end(), equal);
  }
  if (const auto* a = get<std::shared_ptr<const Dict>>(), *b = other.get<std::shared_ptr<const Dict>>(); a && b) {
    return *a == *b || (a->get()->entries.size() == b->get()->entries.size() &&
                        std::all_of(a->get()->entries.begin(), a->get()->entries.end(), [&](const auto& entry) {
                          budget.spend_search(b->get()->entries.size());
                          const Value* found = b->get()->find(entry.first);
                          return found != nullptr && equal(*found, entry.second);
                        }));
  }
  return storage_ == other.storage_;
}

std::string_view Value::type_name() const {
  static constexpr std::array<std::string_view, std::variant_size_v<Storage>> kNames{
      "an undefined value", "none",        "a boolean",  "an integer", "a float", "a string", "a list",
      "a dictionary",       "a namespace", "a function", "a macro"};
  return kNames[storage_.index()];
}

std::string Value::to_text(Budget& budget) const {
  if (list() != nullptr || dict() != nullptr) return Writer(false, -1, budget).write(*this);
  const auto paid = [&](std::string text) {
    budget.spend_bytes(text.size());
    return text;
  };
  if (is_undefined()) return {};
  if (is_none()) return paid("None");
  if (const auto* truth = get<bool>()) return paid(*truth ? "True" : "False");
  if (const auto* integer = get<std::int64_t>()) return paid(std::to_string(*integer));
  if (const auto* number = get<double>()) return paid(number_text(*number));
  if (const auto* text = this->text()) {
    budget.spend_bytes(text->size());
    return *text;
  }
  fail_evaluation(fmt::format("{} cannot be written as text", type_name()));
}

std::string Value::to_json(Budget& budget, int indent) const {
  return Writer(true, indent, budget).write(*this);
}

}  // namespace kvasir::engine::jinja
