#include "cache/follow_up.hpp"

#include <string>

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

TEST(FollowUp, NeedsTheTurnsBeforeIt) {
  for (const char* question : {"and in winter?",
                               "And what do people eat in winter?",
                               "Why?",
                               "How about a cheaper hotel in Hue?",
                               "Is it far?",
                               "How long does that take by train?",
                               "Where were they born?",
                               "What is his wife's name?",
                               "Which one is cheaper?",
                               "Tell me more about the history",
                               "Can you explain the second point?",
                               "Is there a cheaper one in Hanoi?",
                               "How much do those cost in Hue?",
                               "còn mùa đông thì sao?",
                               "Nó cách biển bao xa?",
                               "no cach bien bao xa",
                               "Ông ấy sinh năm nào và ở đâu?",
                               "Giá vé ở đó là bao nhiêu?",
                               "那冬天呢？",
                               "lam sao de mo tai khoan ngan hang",
                               "¿Cuál es la capital de Francia?",
                               "它离海边有多远？",
                               "他是在哪一年出生的？",
                               "这个城市有多少人口？",
                               ""}) {
    EXPECT_FALSE(stands_alone(question)) << question;
  }
}

TEST(FollowUp, AQuestionOfItsOwnDoesNot) {
  for (const char* question :
       {"What is the capital of France?", "How do I reset my router password?", "Which river flows through Hue city?",
        "Thủ đô của Việt Nam là gì?", "Làm sao để mở tài khoản ngân hàng?", "越南的首都是哪个城市？"}) {
    EXPECT_TRUE(stands_alone(question)) << question;
  }
}

TEST(FollowUp, AnyTextIsJudged) {
  for (const std::string& question :
       {std::string(1, '\xff'), std::string(70'000, 'x'), std::string(3, '\0'), std::string("?!")})
    stands_alone(question);
  EXPECT_FALSE(stands_alone("?!"));
}

}  // namespace
}  // namespace kvasir::cache
