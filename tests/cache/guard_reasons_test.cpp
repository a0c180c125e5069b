// Each guard by its reason, and pairs from tests/cache/data: a line is 1 (the same) or 0, and two questions.
#include "cache/guards.hpp"

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

struct Pair {
  const char* asked;
  const char* stored;
};

std::string_view objection(std::string_view asked, std::string_view stored, float similarity = 0.9F) {
  return guard_objection(GuardedQuestion(asked), GuardedQuestion(stored), similarity);
}

void expect(std::string_view reason, const std::vector<Pair>& pairs) {
  for (const Pair& pair : pairs) {
    EXPECT_EQ(objection(pair.asked, pair.stored), reason) << pair.asked << " / " << pair.stored;
    EXPECT_EQ(objection(pair.stored, pair.asked), reason) << pair.stored << " / " << pair.asked;
  }
}

TEST(UnitGuard, ObjectsToOtherUnits) {
  expect("guard_unit", {{"5 kg of rice", "5 lb of rice"},
                        {"5kg of rice", "5 lb of rice"},
                        {"Is 40% enough?", "Is 40 enough?"},
                        {"What costs $20?", "What costs €20?"},
                        {"20 phút chạy được bao xa", "20 giây chạy được bao xa"},
                        {"5公斤多少钱", "5克多少钱"}});
}

TEST(UnitGuard, AcceptsTheSameUnitWrittenOtherwise) {
  expect("",
         {{"5 kg of rice", "5kg of rice"}, {"5 kilograms of rice", "5 kg of rice"}, {"$20 gifts", "20 dollar gifts"}});
}

TEST(DateGuard, ObjectsToOtherDaysMonthsAndTimes) {
  expect("guard_date", {{"Are banks open on Monday?", "Are banks open on Sunday?"},
                        {"Rome in January", "Rome in July"},
                        {"Thư viện mở buổi sáng", "Thư viện mở buổi tối"},
                        {"早上8点开门吗", "晚上8点开门吗"}});
}

TEST(QuestionGuard, ObjectsToOtherQuestionsOfTheSameThing) {
  expect("guard_question", {{"When was the tower built?", "Where was the tower built?"},
                            {"What is yoga?", "Why yoga?"},
                            {"Is coffee bad?", "Why is coffee bad?"},
                            {"What is Git?", "Is Git?"},
                            {"Tháp Eiffel xây khi nào?", "Tháp Eiffel xây ở đâu?"},
                            {"铁塔是什么时候建的？", "铁塔是在哪里建的？"}});
}

TEST(ScopeGuard, ObjectsToOtherReach) {
  expect("guard_scope", {{"Do all birds fly?", "Do most birds fly?"},
                         {"Is it always safe?", "Is it usually safe?"},
                         {"phones under 500", "phones over 500"}});
}

TEST(AntonymGuard, ObjectsToOppositesThatWordNetKnows) {
  expect("guard_antonym", {{"Is the exam hard?", "Is the exam soft?"},
                           {"Do prices rise?", "Do prices fall?"},
                           {"Is the lake deep?", "Is the lake shallow?"}});
}

TEST(EntityGuard, ObjectsToOtherNames) {
  expect("guard_entity", {{"Who is the president of France?", "Who is the president of Ghana?"},
                          {"When was Albert Einstein born?", "When was Isaac Newton born?"},
                          {"Dân số của Huế", "Dân số của Vinh"}});
}

TEST(WordsGuard, ObjectsToOtherThings) {
  expect("guard_words", {{"How do I bake bread?", "How do I bake cookies?"},
                         {"Is she an actor?", "Is she a famous actor?"},
                         {"who directed jaws", "who directed alien"},
                         {"Cách nuôi mèo", "Cách nuôi thỏ"},
                         {"怎么养猫", "怎么养兔子"}});
}

TEST(RoleGuard, TellsWhoActs) {
  expect("guard_role", {{"Did Ann hire Bob?", "Was Ann hired by Bob?"}});
  expect("guard_order", {{"Did Ann hire Bob?", "Did Bob hire Ann?"}});
  expect("", {{"Did Ann hire Bob?", "Was Bob hired by Ann?"}, {"Is Ann married to Bob?", "Is Bob married to Ann?"}});
}

TEST(DirectionGuard, TellsWhichWay) {
  expect("guard_direction", {{"Flights to Paris", "Flights from Paris"},
                             {"from London to Paris", "from Paris to London"},
                             {"Is tea better than coffee?", "Is coffee better than tea?"}});
  expect("", {{"flights from London to Paris", "flights to Paris from London"},
              {"What is the capital of France?", "What is France's capital?"},
              {"On Ubuntu, how do I install Docker?", "How do I install Docker on Ubuntu?"},
              {"the difference between TCP and UDP", "the difference between UDP and TCP"}});
}

TEST(TenseGuard, TellsThenFromNow) {
  expect("guard_tense", {{"Is she a nurse?", "Was she a nurse?"}, {"Will it open?", "Did it open?"}});
}

TEST(LanguageGuard, WantsTheAnswerInTheLanguageOfTheQuestion) {
  expect("guard_language", {{"What is the capital of France?", "Thủ đô của Pháp là gì?"},
                            {"What is the capital of France?", "法国的首都是哪里？"},
                            {"What is the capital of France?", "Quelle est la capitale de la France ?"}});
}

TEST(LanguageGuard, LeavesALanguageThatNoGuardKnowsToTheEmbedderOnlyWhereItIsSure) {
  constexpr const char* asked = "Wie alt ist die Erde?";
  constexpr const char* stored = "Die Erde ist wie alt?";
  constexpr const char* turned = "wie alt ist die Erde";
  EXPECT_EQ(objection(asked, turned, 0.97F), "guard_language");
  EXPECT_EQ(objection(asked, turned, 0.98F), "");
  EXPECT_EQ(objection(asked, "Wie alt ist die Sonne?", 0.99F), "guard_words");
  EXPECT_NE(objection(asked, stored, 0.97F), "");
}

TEST(LengthGuard, TakesLongTextsAsTheyAre) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "word ";
  EXPECT_EQ(objection(text, text), "");
  EXPECT_EQ(objection(text, text + "more"), "guard_length");
}

class Judged : public testing::TestWithParam<const char*> {};

TEST_P(Judged, AsTheyAreLabelled) {
  std::ifstream file(std::string(KVASIR_SOURCE_DIR "/tests/cache/data/guard_tuned_") + GetParam() + ".tsv");
  ASSERT_TRUE(file) << "the pairs are missing";
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string same;
    std::string asked;
    std::string stored;
    std::getline(fields, same, '\t');
    std::getline(fields, asked, '\t');
    std::getline(fields, stored, '\t');
    EXPECT_EQ(objection(asked, stored).empty(), same == "1") << line << ": " << objection(asked, stored);
  }
}

INSTANTIATE_TEST_SUITE_P(Pairs, Judged, testing::Values("en", "vi", "zh"));

}  // namespace
}  // namespace kvasir::cache
