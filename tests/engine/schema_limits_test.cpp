// Schemas that are small to send and large to work out.
#include "tests/engine/grammars.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

// They add no states, which bound the work of others.
TEST(SchemaLimits, EndsQuicklyOnGroupsOfNothingRepeated) {
  std::string groups;
  for (int i = 0; i < 3'500; ++i) groups += "()";
  const auto pattern = [](const std::string& text) { return R"({"type": "string", "pattern": "^)" + text + "$\"}"; };
  EXPECT_TRUE(accepts(pattern("(?:(?:" + groups + "){2000}){2000}"), R"("")"));
  EXPECT_TRUE(accepts(pattern("((x)" + groups + "(()){9}){2}"), R"("xx")"));
}

}  // namespace
}  // namespace kvasir::engine
