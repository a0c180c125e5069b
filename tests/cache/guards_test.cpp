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
                                            {"10岁儿童", "12岁儿童"},
                                            {"summary of the first chapter", "summary of the second chapter"},
                                            {"the twenty-first king", "the twenty-third king"},
                                            {"第一章讲什么", "第二章讲什么"},
                                            {"第十二章", "第十三章"},
                                            {"一万元", "两万元"},
                                            {"chương một nói gì", "chương hai nói gì"},
                                            {"chuong bon noi gi", "chuong nam noi gi"},
                                            {"thứ hai làm gì", "thứ ba làm gì"},
                                            {"điều mười lăm", "điều mười sáu"}}) {
    EXPECT_EQ(objection(pair), "guard_number") << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection({pair.stored, pair.asked}), "guard_number") << pair.stored << " / " << pair.asked;
  }
}

TEST(NumberGuard, AcceptsTheSameNumbersWrittenOtherwise) {
  for (const Pair& pair : std::vector<Pair>{{"What is 15 % of 200?", "15% of 200 is what?"},
                                            {"Spend 1,000 dollars", "spend 1000 dollars"},
                                            {"3 ways to cook rice", "Three ways to cook rice"},
                                            {"１０岁", "10岁"},
                                            {"covid-19 symptoms.", "covid 19 symptoms?"},
                                            {"the first chapter", "the 1st chapter"},
                                            {"my twenty-first birthday", "my 21st birthday"},
                                            {"第十二章讲什么", "第12章讲什么"},
                                            {"三百二十元", "320元"},
                                            {"一九四五年", "1945年"},
                                            {"chương hai mươi ba nói gì", "chương 23 nói gì"},
                                            {"thứ tư làm gì", "thứ 4 làm gì"}}) {
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
                                            {"maximum dose", "minimum dose"},
                                            {"Is Ann a cook and a singer?", "Is Ann a cook or a singer?"},
                                            {"trà và cà phê", "trà hoặc cà phê"},
                                            {"wake me at 5 am", "wake me at 5 pm"}}) {
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
                         {"Việt Nam Airlines là hãng hàng không nào", "Việt Nam Airlines là hãng bay gì"},
                         {"能不能吃", "可以吃吗"},
                         {"两者有什么区别", "两者有什么不同"},
                         {"'enable' option", "enable option"}}) {
    EXPECT_EQ(objection(pair), "") << pair.asked << " / " << pair.stored;
  }
}

TEST(IdentifierGuard, ObjectsToOtherLettersCodesAcronymsAndQuotations) {
  for (const Pair& pair :
       std::vector<Pair>{{"What does clause 12(b) say?", "What does clause 12(a) say?"},
                         {"benefits of vitamin B", "benefits of vitamin C"},
                         {"deficiency of vitamin A", "deficiency of vitamin"},
                         {"How to learn C++?", "How to learn C?"},
                         {"How to learn C#?", "How to learn C++?"},
                         {"Is x prime?", "Is y prime?"},
                         {"Would he reject her?", "Would she reject him?"},
                         {"When Ann met Bob, was his dog there?", "When Ann met Bob, was her dog there?"},
                         {"α-blockers", "β-blockers"},
                         {"Convert money to USD", "Convert money to EUR"},
                         {"history of the U.S.", "history of the UK"},
                         {"What is IT?", "what is it?"},
                         {"limits of gpt4o", "limits of gpt4x"},
                         {"set top_k", "set top_p"},
                         {"install node.js", "install next.js"},
                         {"What does \"foo bar\" mean?", "What does \"foo baz\" mean?"},
                         {"Nghĩa của “mặt trời”", "Nghĩa của “mặt trăng”"},
                         {"「桜」の意味", "「梅」の意味"},
                         {"Type '+' or type", "Type '-' or type"}}) {
    EXPECT_EQ(objection(pair), "guard_identifier") << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection({pair.stored, pair.asked}), "guard_identifier") << pair.stored << " / " << pair.asked;
  }
}

TEST(IdentifierGuard, AcceptsTheSameWrittenOtherwise) {
  for (const Pair& pair : std::vector<Pair>{{"benefits of vitamin C", "benefits of vitamin c"},
                                            {"Convert EUR to USD", "convert eur to usd"},
                                            {"CONVERT EUR TO USD", "Convert EUR to USD"},
                                            {"history of the U.S.", "history of the US"},
                                            {"NASA's budget", "budget NASA"},
                                            {"Where can I buy a guitar?", "Where to buy guitar?"},
                                            {"A guitar, please", "guitar please"},
                                            {"so do I", "so do you"},
                                            {"don't users' rights end?", "don't users rights end?"},
                                            {"What does 'serendipity' mean?", "What does serendipity mean?"},
                                            {"sân bay ở Huế", "sân bay tại Huế"},
                                            {"send an e-mail", "send an email"},
                                            {"the 2nd floor", "the second floor"}}) {
    EXPECT_NE(objection(pair), "guard_identifier") << pair.asked << " / " << pair.stored;
    EXPECT_NE(objection({pair.stored, pair.asked}), "guard_identifier") << pair.stored << " / " << pair.asked;
  }
}

TEST(AccentGuard, ObjectsToWordsThatDifferByTheirMarks) {
  for (const Pair& pair : std::vector<Pair>{{"Dừa là cây gì", "Dưa là cây gì"},
                                            {"con ma này", "con má này"},
                                            {"đá bóng là gì", "đa bóng là gì"},
                                            {"le poisson salé", "le poisson sale à"},
                                            {"мой дом большой", "мои дом большой"}}) {
    EXPECT_EQ(objection(pair), "guard_accent") << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection({pair.stored, pair.asked}), "guard_accent") << pair.stored << " / " << pair.asked;
  }
}

TEST(AccentGuard, AcceptsTextTypedWithoutMarksAndOtherPlacesOfTheTone) {
  for (const Pair& pair : std::vector<Pair>{{"Thủ đô của Việt Nam là gì", "thu do cua viet nam la gi"},
                                            {"mã hoá dữ liệu", "mã hóa dữ liệu"},
                                            {"How to write a résumé", "How to write a resume"},
                                            {"की कीमत", "का कीमत"}}) {
    EXPECT_NE(objection(pair), "guard_accent") << pair.asked << " / " << pair.stored;
    EXPECT_NE(objection({pair.stored, pair.asked}), "guard_accent") << pair.stored << " / " << pair.asked;
  }
}

// The sharpest word for one and the same thing.
bool is_about_order(std::string_view reason) {
  return reason == "guard_order" || reason == "guard_direction" || reason == "guard_role";
}

TEST(OrderGuard, ObjectsToTheSameWordsInAnotherOrder) {
  for (const Pair& pair : std::vector<Pair>{{"flights from London to Paris", "flights from Paris to London"},
                                            {"Convert EUR to USD", "Convert USD to EUR"},
                                            {"Convert miles to kilometres", "Convert kilometres to miles"},
                                            {"Is plan A better than plan B?", "Is plan B better than plan A?"},
                                            {"Did Ann see Bob?", "Was Ann seen by Bob?"},
                                            {"What is 5 minus 3?", "What is 3 minus 5?"},
                                            {"tàu từ Hà Nội đến Huế", "tàu từ Huế đến Hà Nội"},
                                            {"tàu từ Hà Nội đến Huế", "tau tu hue den ha noi"},
                                            {"猫吃鱼", "鱼吃猫"},
                                            {"поезд Москва Казань", "поезд Казань Москва"}}) {
    EXPECT_TRUE(is_about_order(objection(pair))) << pair.asked << " / " << pair.stored << ": " << objection(pair);
    EXPECT_EQ(objection({pair.stored, pair.asked}), objection(pair)) << pair.stored << " / " << pair.asked;
  }
}

TEST(Guards, AcceptPlainParaphrases) {
  for (const Pair& pair : std::vector<Pair>{{"What is the capital of France?", "What's the capital of France?"},
                                            {"How do I reset my printer?", "How can I reset my printer?"},
                                            {"Where can I buy a new guitar?", "Where can I purchase a new guitar?"},
                                            {"How do I cook rice?", "What is the best way to cook rice?"},
                                            {"Could you tell me who wrote Hamlet?", "Who wrote Hamlet?"},
                                            {"Làm thế nào để nấu cơm?", "Nấu cơm như thế nào?"},
                                            {"Thủ đô của Pháp là gì?", "Thủ đô Pháp ở đâu?"},
                                            {"中国的首都是哪里", "哪里是中国的首都"}}) {
    EXPECT_EQ(objection(pair), "") << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection({pair.stored, pair.asked}), "") << pair.stored << " / " << pair.asked;
  }
}

TEST(Guards, AQuestionIsItsOwnParaphrase) {
  for (const char* question : {"", "no", "Why not 3.14?", "có hay không", "是不是", "enable, disable", "\xff\xfe", "'",
                               "\"a", "a.b.", "I.", "+#'", "第", "一", "hai mươi", "Е́", "I A"}) {
    EXPECT_EQ(objection({question, question}), "") << question;
  }
}

}  // namespace
}  // namespace kvasir::cache
