#include "cache/guards.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

struct Pair {
  const char* asked;
  const char* stored;
};

std::string_view objection(const Pair& pair) {
  return guard_objection(GuardedQuestion(pair.asked), GuardedQuestion(pair.stored));
}

TEST(NumberGuard, ObjectsToOtherNumbers) {
  for (const Pair& pair : std::vector<Pair>{{"What is 15% of 200?", "What is 20% of 200?"},
                                            {"Python 3.10 features", "Python 3.1 features"},
                                            {"Is -5 even?", "Is 5 even?"},
                                            {"convert 1.5 km", "convert 15 km"},
                                            {"Top five cities", "Top ten cities"},
                                            {"events of 1945", "events of the war"},
                                            {"năm 1975 có gì", "năm 1954 có gì"},
                                            {"10岁儿童", "12岁儿童"}}) {
    EXPECT_EQ(objection(pair), "guard_number") << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection({pair.stored, pair.asked}), "guard_number") << pair.stored << " / " << pair.asked;
  }
}

TEST(NumberGuard, AcceptsTheSameNumbersWrittenOtherwise) {
  for (const Pair& pair : std::vector<Pair>{{"What is 15 % of 200?", "15% of 200 is what?"},
                                            {"Spend 1,000 dollars", "spend 1000 dollars"},
                                            {"3 ways to cook rice", "Three ways to cook rice"},
                                            {"１０岁", "10岁"},
                                            {"covid-19 symptoms.", "symptoms of covid 19"}}) {
    EXPECT_EQ(objection(pair), "") << pair.asked << " / " << pair.stored;
  }
}

TEST(NegationGuard, ObjectsToTheOpposite) {
  for (const Pair& pair : std::vector<Pair>{{"How do I enable 2FA?", "How do I disable 2FA?"},
                                            {"turn on notifications", "turn off notifications"},
                                            {"Why is the sky blue?", "Why is the sky not blue?"},
                                            {"Why does it work?", "Why doesn’t it work?"},
                                            {"tea with sugar", "tea without sugar"},
                                            {"bật thông báo", "tắt thông báo"},
                                            {"thuốc này an toàn", "thuốc này không an toàn"},
                                            {"cài đặt ứng dụng", "gỡ cài đặt ứng dụng"},
                                            {"ai nên uống cà phê", "ai không nên uống cà phê"},
                                            {"如何启用双重验证", "如何禁用双重验证"},
                                            {"可以吃", "不可以吃"},
                                            {"How to enable it", "How to enable or disable it"},
                                            {"maximum dose", "minimum dose"}}) {
    EXPECT_EQ(objection(pair), "guard_negation") << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection({pair.stored, pair.asked}), "guard_negation") << pair.stored << " / " << pair.asked;
  }
}

TEST(NegationGuard, AcceptsParaphrases) {
  for (const Pair& pair :
       std::vector<Pair>{{"How do I enable 2FA?", "What is the way to turn on 2FA?"},
                         {"How do I enable 2FA?", "How do I set up 2FA?"},
                         {"It doesn't work", "It does not work"},
                         {"it dont work", "it doesn’t work"},
                         {"Có nên uống cà phê không?", "Nên uống cà phê hay không"},
                         {"Uống cà phê có tốt?", "uống cà phê có tốt không"},
                         {"Việt Nam Airlines là hãng hàng không nào", "Hãng bay Việt Nam Airlines là gì"},
                         {"能不能吃", "可以吃吗"},
                         {"两者有什么区别", "两者有什么不同"},
                         {"'enable' option", "enable option"}}) {
    EXPECT_EQ(objection(pair), "") << pair.asked << " / " << pair.stored;
  }
}

TEST(Guards, AQuestionIsItsOwnParaphrase) {
  for (const char* question : {"", "no", "Why not 3.14?", "có hay không", "是不是", "enable, disable", "\xff\xfe"}) {
    EXPECT_EQ(objection({question, question}), "") << question;
  }
}

}  // namespace
}  // namespace kvasir::cache
