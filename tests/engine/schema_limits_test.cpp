// Schemas that are small to send and large to work out.
#include "tests/engine/grammars.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using ::testing::HasSubstr;

// They add no states, which bound the work of others.
TEST(SchemaLimits, EndsQuicklyOnGroupsOfNothingRepeated) {
  std::string groups;
  for (int i = 0; i < 3'500; ++i) groups += "()";
  const auto pattern = [](const std::string& text) { return R"({"type": "string", "pattern": "^)" + text + "$\"}"; };
  EXPECT_TRUE(accepts(pattern("(?:(?:" + groups + "){2000}){2000}"), R"("")"));
  EXPECT_TRUE(accepts(pattern("((x)" + groups + "(()){9}){2}"), R"("xx")"));
}

TEST(SchemaLimits, BoundsTheMembersOfAnObject) {
  const auto annotated = [](int members) {
    std::string schema = R"({"type": "null")";
    for (int i = 1; i < members; ++i) schema += R"(, "x-)" + std::to_string(i) + R"(": {})";
    return schema + "}";
  };
  EXPECT_EQ(refusal(annotated(5'000)), "");
  EXPECT_THAT(refusal(annotated(5'001)), HasSubstr("more than 5,000 members"));
}

}  // namespace
}  // namespace kvasir::engine
