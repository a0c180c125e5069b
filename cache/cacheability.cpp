#include "cache/cacheability.hpp"

#include "cache/follow_up.hpp"
#include "cache/response_cache.hpp"
#include "cache/words.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace kvasir::cache {
namespace {

constexpr char rules_data[] =
#include "cache/data/rules.inc"
    ;

void add_phrase(PhraseSet& set, std::string_view phrase) {
  set.add(phrase);
  set.add(without_accents(phrase));
}

// An asker's word and a belonging near it; which comes first depends on the language.
struct Possession {
  enum class Order { asker_first, belonging_first };
  Order order;
  std::size_t reach;  // words between the two ("my last order")
  std::string_view askers;
  std::string_view belongings;
};
constexpr Possession possessions[] = {{Possession::Order::asker_first, 3, "asker.en", "belongings.en"},
                                      {Possession::Order::belonging_first, 4, "asker.vi", "belongings.vi"},
                                      {Possession::Order::asker_first, 4, "asker.zh", "belongings.zh"},
                                      {Possession::Order::asker_first, 1, "asker.zh.near", "belongings.zh"}};

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return trimmed(part);
}

class Rules {
 public:
  Rules() {
    std::string_view rest(rules_data, sizeof(rules_data) - 1);
    while (!rest.empty()) {
      std::string_view phrases = take(rest, '\n');
      const std::size_t sign = phrases.find(" = ");
      if (phrases.starts_with('#') || sign == phrases.npos) continue;
      PhraseSet& set = sets_[phrases.substr(0, sign)];
      phrases.remove_prefix(sign + 3);
      while (!phrases.empty()) add_phrase(set, take(phrases, '|'));
    }
  }

  bool holds(std::string_view name, const Words& words) const { return sets_.at(name).contains_any(words); }

  bool opens_with_instructions(const Words& words) const {
    constexpr std::size_t opening = 4;  // words: a "how do I" further in may follow a personal question
    return sets_.at("instructions").contains_any(words, 0, opening);
  }

  bool speaks_of_belongings(const Words& words) const {
    return std::ranges::any_of(possessions, [&](const Possession& possession) { return is_in(words, possession); });
  }

 private:
  bool is_in(const Words& words, const Possession& possession) const {
    const PhraseSet& askers = sets_.at(possession.askers);
    const PhraseSet& belongings = sets_.at(possession.belongings);
    for (std::size_t at = 0; at < words.size(); ++at) {
      const std::size_t length = askers.match(words, at);
      if (length == 0) continue;
      const std::size_t reach = possession.reach;
      const bool near = possession.order == Possession::Order::asker_first
                            ? belongings.contains_any(words, at + length, at + length + reach)
                            : belongings.contains_any(words, at - std::min(at, reach), at);
      if (near) return true;
    }
    return false;
  }

  std::map<std::string_view, PhraseSet> sets_;
};

const Rules& built_in() {
  static const Rules rules;
  return rules;
}

}  // namespace

struct QuestionJudge::Extra {
  PhraseSet personal;
  PhraseSet realtime;
};

QuestionJudge::QuestionJudge(const QuestionRules& rules) : realtime_ttl_(rules.realtime_ttl) {
  auto extra = std::make_shared<Extra>();
  for (const std::string& phrase : rules.personal) add_phrase(extra->personal, phrase);
  for (const std::string& phrase : rules.realtime) add_phrase(extra->realtime, phrase);
  extra_ = std::move(extra);
}

QuestionJudge::Nature QuestionJudge::nature_of(std::string_view question) const {
  const Words words(question);
  const Rules& rules = built_in();
  Nature nature;
  nature.of_the_moment = extra_->realtime.contains_any(words) || rules.holds("realtime", words);
  nature.personal =
      extra_->personal.contains_any(words) ||
      (!rules.opens_with_instructions(words) && (rules.holds("about", words) || rules.speaks_of_belongings(words)));
  return nature;
}

void QuestionJudge::judge(CacheKey& key) const {
  key.judged = true;
  if (!key.not_cacheable.empty()) return;
  // A follow-up ("and in winter?") is compared by its words only where they say what is asked.
  if (key.follows_up && key.semantic) key.semantic = stands_alone(key.question);
  const Nature nature = nature_of(key.question);
  if (nature.of_the_moment && !realtime_ttl_) {
    key.not_cacheable = "realtime";
  } else if (nature.personal && !key.of_one_user) {
    // Kept for this user alone, a question about the user is as good as any other.
    key.not_cacheable = "personal";
  } else if (nature.of_the_moment) {
    key.longest_ttl = realtime_ttl_;
  }
}

void judge_question(CacheKey& key) {
  static const QuestionJudge built_in_rules;
  built_in_rules.judge(key);
}

std::string_view why_not_cacheable(std::string_view question) {
  CacheKey key;
  key.question = question;
  judge_question(key);
  return key.not_cacheable;
}

}  // namespace kvasir::cache
