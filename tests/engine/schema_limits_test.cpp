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

std::string list_of(int times, const std::string& text) {
  std::string all;
  for (int i = 0; i < times; ++i) all.append(i > 0 ? "," : "").append(text);
  return all;
}

TEST(SchemaLimits, EndsQuicklyOnSchemasWhoseSizesMultiply) {
  const std::string branches = R"("anyOf": [)" + list_of(500, "true") + "]}";
  const std::string many_names = R"({"required": [)" + list_of(100'000, "\"\"") + "], " + branches;
  const std::string many_values = R"({"enum": [)" + list_of(200'000, "0") + "], " + branches;
  const std::string long_value = R"({"enum": [")" + std::string(300'000, 'a') + "\"], " + branches;
  const std::string many_items = R"({"prefixItems": [)" + list_of(50'000, "true") + R"(], "allOf": [)" +
                                 list_of(17'000, R"({"items": {}})") + "]}";
  std::string many_parts = R"({"properties": {"0": true)";
  for (int i = 1; i < 5'000; ++i) many_parts += R"(, ")" + std::to_string(i) + R"(": true)";
  many_parts += R"(}, "allOf": [)" + list_of(8'000, R"({"additionalProperties": {}})") + "]}";
  for (const std::string& schema : {many_names, many_values, long_value, many_items, many_parts})
    EXPECT_THAT(refusal(schema), HasSubstr("too complex")) << schema.substr(0, 100);
}

TEST(SchemaLimits, LeavesTheFrontOfALongPlaceOut) {
  const std::string name(1'000, 'a');
  const std::string schema = R"({"properties": {")" + name + R"(": {"properties": {"b": {"minLength": -1}}}}})";
  EXPECT_THAT(refusal(schema), HasSubstr(" …/properties/b/minLength must be"));
}

}  // namespace
}  // namespace kvasir::engine
