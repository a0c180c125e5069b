#include "cache/numerals.hpp"

#include "cache/spelling.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

namespace kvasir::cache {
namespace {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

struct NumberWord {
  std::string_view word;
  std::uint64_t value;
};

constexpr NumberWord english[] = {
    {"first", 1},       {"two", 2},         {"second", 2},        {"three", 3},         {"third", 3},
    {"four", 4},        {"fourth", 4},      {"five", 5},          {"fifth", 5},         {"six", 6},
    {"sixth", 6},       {"seven", 7},       {"seventh", 7},       {"eight", 8},         {"eighth", 8},
    {"nine", 9},        {"ninth", 9},       {"ten", 10},          {"tenth", 10},        {"eleven", 11},
    {"eleventh", 11},   {"twelve", 12},     {"twelfth", 12},      {"thirteen", 13},     {"thirteenth", 13},
    {"fourteen", 14},   {"fourteenth", 14}, {"fifteen", 15},      {"fifteenth", 15},    {"sixteen", 16},
    {"sixteenth", 16},  {"seventeen", 17},  {"seventeenth", 17},  {"eighteen", 18},     {"eighteenth", 18},
    {"nineteen", 19},   {"nineteenth", 19}, {"twenty", 20},       {"twentieth", 20},    {"thirty", 30},
    {"thirtieth", 30},  {"forty", 40},      {"fortieth", 40},     {"fifty", 50},        {"fiftieth", 50},
    {"sixty", 60},      {"seventy", 70},    {"eighty", 80},       {"ninety", 90},       {"hundred", 100},
    {"hundredth", 100}, {"thousand", 1000}, {"thousandth", 1000}, {"million", 1000000}, {"billion", 1000000000}};

constexpr NumberWord vietnamese[] = {{"một", 1}, {"mốt", 1}, {"nhất", 1}, {"hai", 2},  {"nhì", 2},
                                     {"ba", 3},  {"bốn", 4}, {"tư", 4},   {"năm", 5},  {"lăm", 5},
                                     {"sáu", 6}, {"bảy", 7}, {"tám", 8},  {"chín", 9}, {"mười", 10}};

// Before these a Vietnamese numeral is one; elsewhere "năm" is a year, "ba" a father and "chín" ripe.
constexpr std::string_view vietnamese_counted[] = {"thứ",   "chương", "điều", "khoản", "phần",  "bài",  "tập", "câu",
                                                   "mục",   "trang",  "bước", "quý",   "số",    "lớp",  "hồi", "kỳ",
                                                   "tháng", "cấp",    "loại", "tầng",  "quyển", "hạng", "vòng"};
// These mean the number wherever they stand.
constexpr std::string_view vietnamese_always[] = {"hai", "bốn", "sáu", "bảy", "tám", "mười"};
constexpr std::string_view vietnamese_tens = "mươi";

constexpr std::string_view chinese_digits[] = {"〇", "一", "二", "三", "四", "五", "六", "七", "八", "九"};
constexpr NumberWord chinese_units[] = {{"十", 10},    {"百", 100},       {"千", 1000},     {"万", 10000},
                                        {"萬", 10000}, {"亿", 100000000}, {"億", 100000000}};
// "一" before one of these counts; elsewhere it is in "一样", "一起", "统一".
constexpr std::string_view chinese_counted[] = {"章", "节", "節", "条", "條", "款", "课", "課", "页", "頁", "卷",
                                                "回", "月", "年", "日", "号", "號", "楼", "樓", "级", "級", "期"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::size_t digits_from(std::string_view text, std::size_t at) {
  std::size_t count = 0;
  while (at + count < text.size() && is_digit(text[at + count])) ++count;
  return count;
}

// A minus sign, not the hyphen of "covid-19".
bool has_minus(std::string_view text, std::size_t at) {
  if (at == 0 || text[at - 1] != '-') return false;
  return at == 1 || text[at - 2] == ' ' || text[at - 2] == '(';
}

// Reads one number and moves `at` behind it. Zeros are kept as written: version 3.10 is not version 3.1.
std::string read_number(std::string_view text, std::size_t& at) {
  std::string number = has_minus(text, at) ? "-" : "";
  std::size_t count = digits_from(text, at);
  const std::size_t leading = count;
  number.append(text, at, count);
  at += count;
  while (at + 1 < text.size() && (text[at] == '.' || text[at] == ',') && is_digit(text[at + 1])) {
    count = digits_from(text, at + 1);
    const bool thousands = text[at] == ',' && count == 3 && leading <= 3;
    if (!thousands) number += '.';
    number.append(text, at + 1, count);
    at += count + 1;
  }
  return number;
}

bool is_among(std::span<const std::string_view> list, std::string_view word, bool plain = false) {
  return std::ranges::any_of(
      list, [&](std::string_view known) { return known == word || (plain && without_accents(known) == word); });
}

std::optional<std::uint64_t> value_of(std::span<const NumberWord> list, std::string_view word) {
  const auto found = std::ranges::find(list, word, &NumberWord::word);
  return found == list.end() ? std::nullopt : std::optional(found->value);
}

using Values = std::unordered_map<std::string, std::uint64_t, TextHash, std::equal_to<>>;

Values values_of(std::span<const NumberWord> list, bool plain) {
  Values values;
  for (const NumberWord& known : list) values.emplace(plain ? without_accents(known.word) : known.word, known.value);
  return values;
}

std::optional<std::uint64_t> english_value(std::string_view word) {
  static const Values values = values_of(english, false);
  const auto found = values.find(word);
  return found == values.end() ? std::nullopt : std::optional(found->second);
}

// `plain`: typed without accents.
std::optional<std::uint64_t> vietnamese_value(std::string_view word, bool plain) {
  static const Values accented = values_of(vietnamese, false);
  static const Values bare = values_of(vietnamese, true);
  if (const auto found = accented.find(word); found != accented.end()) return found->second;
  const auto found = plain ? bare.find(word) : bare.end();
  return found == bare.end() ? std::nullopt : std::optional(found->second);
}

void add_english(const Words& words, std::vector<WordNumber>& numbers) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::optional<std::uint64_t> value = english_value(words[i]);
    if (!value) continue;
    const std::size_t first = i;
    const bool tens = *value >= 20 && *value < 100;
    if (tens && i + 1 < words.size()) {
      const auto unit = words[i + 1] == "one" ? std::optional<std::uint64_t>(1) : english_value(words[i + 1]);
      if (unit && *unit < 10) {
        value = *value + *unit;
        ++i;
      }
    }
    numbers.push_back({first, i + 1 - first, std::to_string(*value)});
  }
}

// Up to "chín mươi chín"; `at` moves to the last word of the number.
std::uint64_t read_vietnamese(const Words& words, std::size_t& at, bool plain) {
  std::uint64_t value = vietnamese_value(words[at], plain).value_or(0);
  const auto next = [&] { return at + 1 < words.size() ? words[at + 1] : std::string_view{}; };
  if (value < 10 && (next() == vietnamese_tens || (plain && next() == without_accents(vietnamese_tens)))) {
    value *= 10;
    ++at;
  }
  if (value >= 10) {
    if (const auto unit = vietnamese_value(next(), plain); unit && *unit < 10) {
      value += *unit;
      ++at;
    }
  }
  return value;
}

void add_vietnamese(const Words& words, std::vector<WordNumber>& numbers) {
  // Typed without accents, "sau" may be six or behind: the words before it must tell.
  bool plain = true;
  for (std::size_t i = 0; plain && i < words.size(); ++i) plain = spell(words[i]).marks.empty();
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!vietnamese_value(words[i], plain)) continue;
    const bool counted = i > 0 && is_among(vietnamese_counted, words[i - 1], plain);
    const bool tens = i + 1 < words.size() && words[i + 1] == vietnamese_tens;
    if (counted || tens || is_among(vietnamese_always, words[i])) {
      const std::size_t first = i;
      const std::uint64_t value = read_vietnamese(words, i, plain);
      numbers.push_back({first, i + 1 - first, std::to_string(value)});
    }
  }
}

std::optional<std::uint64_t> chinese_digit(std::string_view word) {
  if (word == "零") return 0;
  if (word == "两" || word == "兩") return 2;
  const auto found = std::ranges::find(chinese_digits, word);
  if (found == std::end(chinese_digits)) return std::nullopt;
  return static_cast<std::uint64_t>(found - std::begin(chinese_digits));
}

// The numeral in words [from, to): by places ("三百二十") or digit by digit ("一九四五").
std::string read_chinese(const Words& words, std::size_t from, std::size_t to) {
  std::uint64_t total = 0;    // above the last 万 or 亿
  std::uint64_t section = 0;  // below it
  std::uint64_t digit = 0;
  std::string digits;
  bool places = false;
  for (std::size_t i = from; i < to; ++i) {
    if (const auto value = chinese_digit(words[i])) {
      digit = *value;
      digits += std::to_string(*value);
      continue;
    }
    const std::uint64_t unit = value_of(chinese_units, words[i]).value_or(1);
    places = true;
    if (unit < 10000) {
      section += (digit == 0 ? 1 : digit) * unit;
    } else {
      total = (total + section + digit) * unit;
      section = 0;
    }
    digit = 0;
  }
  return places ? std::to_string(total + section + digit) : digits;
}

void add_chinese(const Words& words, std::vector<WordNumber>& numbers) {
  const auto numeral = [&](std::size_t i) {
    return i < words.size() && (chinese_digit(words[i]) || value_of(chinese_units, words[i]));
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!numeral(i)) continue;
    std::size_t end = i;
    while (numeral(end)) ++end;
    const bool counted =
        (i > 0 && words[i - 1] == "第") || (end < words.size() && is_among(chinese_counted, words[end]));
    const bool lone_one = end == i + 1 && words[i] == "一";
    if (!lone_one || counted) numbers.push_back({i, end - i, read_chinese(words, i, end)});
    i = end - 1;
  }
}

}  // namespace

std::vector<WordNumber> find_word_numbers(const Words& words) {
  std::vector<WordNumber> numbers;
  add_english(words, numbers);
  add_vietnamese(words, numbers);
  add_chinese(words, numbers);
  std::ranges::stable_sort(numbers, {}, &WordNumber::first);
  return numbers;
}

std::vector<std::string> find_numbers(std::string_view text, const Words& words) {
  std::vector<std::string> numbers;
  const std::string folded = fold(text);
  for (std::size_t at = 0; at < folded.size();) {
    if (is_digit(folded[at])) {
      numbers.push_back(read_number(folded, at));
    } else {
      ++at;
    }
  }
  for (WordNumber& number : find_word_numbers(words)) numbers.push_back(std::move(number.value));
  std::ranges::sort(numbers);
  const auto repeated = std::ranges::unique(numbers);
  numbers.erase(repeated.begin(), repeated.end());
  return numbers;
}

}  // namespace kvasir::cache
