// JSON Schema: what a schema's grammar takes and what not, and which schemas are refused.
#include "tests/engine/grammars.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string schema;
  std::vector<std::string> fits;
  std::vector<std::string> does_not;
};

class SchemaGrammar : public testing::TestWithParam<Case> {};

TEST_P(SchemaGrammar, TakesWhatFitsAndNothingElse) {
  const auto grammar = schema_grammar(GetParam().schema);
  for (const std::string& text : GetParam().fits)
    EXPECT_TRUE(accepts(grammar, text)) << GetParam().schema << "\n" << text;
  for (const std::string& text : GetParam().does_not)
    EXPECT_FALSE(accepts(grammar, text)) << GetParam().schema << "\n" << text;
}

INSTANTIATE_TEST_SUITE_P(
    Types, SchemaGrammar,
    testing::Values(
        Case{R"({"type": "null"})", {"null"}, {"", "nul", "true", "null "}},
        Case{R"({"type": "boolean"})", {"true", "false"}, {"True", "0", "null"}},
        Case{R"({"type": "integer"})", {"0", "-1", "42", "123456789012345678"}, {"01", "1.0", "-", "1e3", "+1", ""}},
        Case{R"({"type": "number"})",
             {"0", "-1.5", "3.14", "1e10", "2.5E-3", "0.1"},
             {".5", "1.", "1e", "00", "1e100", "NaN", "--1"}},
        Case{R"({"type": "string"})",
             {R"("")", R"("a b")", R"("\n\"\\\/")", R"("\u00e9\uD83D\uDE00")", "\"h\xC3\xA9\xF0\x9F\x98\x80\""},
             {R"("a)", "a", "\"\n\"", R"("\x")", R"("\uD83D")", R"("\uDE00")", R"("\uD83D\u0041")", "\"\xC3\"",
              "\"\xED\xA0\x80\"", "\"\xC0\xAF\"", "\"\xF4\x90\x80\x80\"", "\"\xFF\""}},
        Case{R"({"type": ["string", "null"]})", {R"("x")", "null"}, {"1"}},
        Case{R"({"type": "array"})",
             {"[]", "[1, 2]", "[1,2]", R"([[], {"a": null}])"},
             {"[1,]", "[,1]", "[1 ,2]", "[ ]"}},
        Case{R"({"type": "object"})",
             {"{}", R"({"a": 1})", R"({"a":1,"b":{"c": []}})"},
             {"{a: 1}", R"({"a" : 1})", R"({"a": 1,})", R"({"a":  1})", "{ }", "{}{}"}},
        Case{"true", {"1", "[]", R"("x")"}, {"", "x"}}, Case{"{}", {"1", "{}", "null"}, {"", "]"}}));

INSTANTIATE_TEST_SUITE_P(
    Objects, SchemaGrammar,
    testing::Values(
        Case{R"({"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "string"}},
                 "required": ["b", "a"], "additionalProperties": false})",
             {R"({"b": 1, "a": "x"})", R"({"b":1,"a":"x"})"},
             {R"({"a": "x", "b": 1})", R"({"b": 1})", "{}", R"({"b": 1, "a": "x", "c": 2})"}},
        Case{R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"},
                 "c": {"type": "integer"}}, "required": ["b"]})",
             {R"({"b": 1})", R"({"a": 0, "b": 1})", R"({"b": 1, "c": 2})", R"({"a": 0, "b": 1, "c": 2})"},
             {"{}", R"({"a": 0})", R"({"a": 0, "c": 2})", R"({"b": 1, "b": 1})", R"({"b": 1,})"}},
        Case{
            R"({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "null"}})",
            {"{}", R"({"a": 1})", R"({"a": 1, "b": null})", R"({"aa": null, "": null})"},
            {R"({"a": null})", R"({"b": 1})", R"({"b": null, "a": 1})"}},
        Case{R"({"type": "object", "additionalProperties": {"type": "integer"}})",
             {"{}", R"({"x": 1, "y": 2})"},
             {R"({"x": "1"})"}},
        Case{R"({"type": "object", "properties": {}})", {"{}"}, {R"({"a": 1})"}},
        Case{R"({"type": "object", "required": ["x"]})", {R"({"x": []})"}, {"{}", R"({"y": 1})"}},
        Case{R"({"properties": {"say \"hi\"\n": {"const": 1}}, "required": ["say \"hi\"\n"]})",
             {R"({"say \"hi\"\n": 1})"},
             {"{}"}},
        Case{R"({"properties": {"a": false, "b": true}})", {"{}", R"({"b": [1]})"}, {R"({"a": 1})"}}));

INSTANTIATE_TEST_SUITE_P(
    Arrays, SchemaGrammar,
    testing::Values(
        Case{R"({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3})",
             {"[1, 2]", "[1, 2, 3]"},
             {"[]", "[1]", "[1, 2, 3, 4]", R"(["a", 1])"}},
        Case{R"({"type": "array", "items": {"type": "integer"}, "minItems": 1})", {"[1]", "[1, 2, 3]"}, {"[]"}},
        Case{R"({"type": "array", "maxItems": 1})", {"[]", "[null]"}, {"[1, 2]"}},
        Case{R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}},
        Case{R"({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]})",
             {"[]", R"(["a"])", R"(["a", 1])"},
             {R"(["a", 1, 2])", "[1]"}},
        Case{R"({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}, "minItems": 2})",
             {R"(["a", null])", R"(["a", null, null])"},
             {R"(["a"])", R"(["a", 1])"}},
        Case{R"({"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "minItems": 2, "maxItems": 2})",
             {R"(["a", 1])"},
             {R"(["a"])", R"(["a", 1, 1])"}},
        Case{R"({"type": "array", "items": false})", {"[]"}, {"[1]"}}));

INSTANTIATE_TEST_SUITE_P(
    Values, SchemaGrammar,
    testing::Values(
        Case{R"({"enum": ["red", "re", 1, null, 1.5, [1, 2]]})",
             {R"("red")", R"("re")", "1", "null", "1.5", "[1,2]"},
             {R"("r")", R"("redd")", "2"}},
        Case{R"({"const": "\u00e9\u0007"})", {"\"\xC3\xA9\\u0007\""}, {R"("e")"}},
        Case{R"({"type": "string", "enum": ["a", 1, "bb"], "minLength": 2})", {R"("bb")"}, {R"("a")", "1"}},
        Case{R"({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}], "minimum": 3})", {"3"}, {"1", "2", "4"}},
        Case{R"({"type": "string", "minLength": 2, "maxLength": 3})",
             {R"("ab")", R"("abc")", "\"\xC3\xA9\xC3\xA9\"", R"("\n\u0041")", R"("\ud83d\ude00a")"},
             {R"("a")", R"("abcd")", R"("")", R"("\ud83d\ude00")"}},
        Case{R"({"type": "string", "minLength": 2})", {R"("ab")", R"("abcdefgh")"}, {R"("a")", R"("")"}},
        Case{R"({"type": "string", "maxLength": 100000})", {R"("")", R"("ab")"}, {}}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, SchemaGrammar,
    testing::Values(Case{R"({"type": "integer", "minimum": 0})", {"0", "7", "999999"}, {"-1", "-0"}},
                    Case{R"({"type": "integer", "minimum": -5, "maximum": 123})",
                         {"-5", "-1", "0", "9", "10", "99", "100", "123"},
                         {"-6", "124", "1000", "-50", "-0"}},
                    Case{
                        R"({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 5})", {"3", "4"}, {"2", "5"}},
                    Case{R"({"type": "integer", "minimum": 1.5, "maximum": 2.5})", {"2"}, {"1", "3"}},
                    Case{R"({"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 30})",
                         {"14", "21", "28"},
                         {"7", "15", "35", "0"}},
                    Case{R"({"type": "integer", "multipleOf": 5})", {"0", "-15", "100"}, {"1", "-7"}},
                    Case{R"({"type": "number", "minimum": 0, "maximum": 1})",
                         {"0", "1", "0.5", "1.0", "0.0", "0.999", "1.00"},
                         {"1.01", "-0.1", "2", "1e0", "1.001"}},
                    Case{R"({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})",
                         {"0.5", "0.001", "0.99"},
                         {"0", "1", "0.0", "1.0", "0.00"}},
                    Case{R"({"type": "number", "minimum": -1.25, "maximum": 2.5})",
                         {"-1.25", "-1.2", "-1", "-0.3", "0", "2", "2.5", "2.49", "2.50", "1.9", "-1.249"},
                         {"-1.26", "-1.3", "-2", "2.51", "2.6", "3", "-1.251"}},
                    Case{R"({"type": "number", "minimum": 1.25, "maximum": 1.5})",
                         {"1.25", "1.3", "1.5", "1.49", "1.251"},
                         {"1.2", "1", "1.51", "1.6", "1.249", "2"}},
                    Case{R"({"type": "number", "exclusiveMinimum": 1.25, "maximum": 1.26})",
                         {"1.251", "1.2500001", "1.26"},
                         {"1.25", "1.250", "1.261"}},
                    Case{R"({"type": "number", "multipleOf": 0.01})", {"1", "1.2", "1.23", "-0.05"}, {"1.234", "1e2"}},
                    Case{R"({"type": "number", "multipleOf": 2})", {"2", "-4"}, {"1", "2.5"}},
                    Case{R"({"type": ["integer", "string"], "minimum": 5})", {"5", R"("x")"}, {"4"}}));

INSTANTIATE_TEST_SUITE_P(
    Patterns, SchemaGrammar,
    testing::Values(
        Case{R"({"type": "string", "pattern": "^[a-c]{2,3}$"})",
             {R"("ab")", R"("abc")"},
             {R"("a")", R"("abcd")", R"("ad")"}},
        Case{R"({"type": "string", "pattern": "b"})", {R"("abc")", R"("b")"}, {R"("ac")", R"("")"}},
        Case{R"({"type": "string", "pattern": "^a|b$"})", {R"("ax")", R"("xb")"}, {R"("xa")", R"("bx")"}},
        Case{R"({"type": "string", "pattern": "^(?:x(y|z)*)+$"})", {R"("x")", R"("xyzxy")"}, {R"("")", R"("y")"}},
        Case{R"({"type": "string", "pattern": "^\\d{3}-\\w+\\s?\\.$"})",
             {R"("123-a_Z9 .")"},
             {R"("123-.")", R"("12-a.")"}},
        Case{R"({"type": "string", "pattern": "^[^\"\\\\]*$"})", {R"("ab\n")"}, {R"("\"")", R"("\\")"}},
        Case{R"({"type": "string", "pattern": "^.\"$"})", {R"("a\"")", "\"\xF0\x9F\x98\x80\\\"\""}, {R"("\n\"")"}},
        Case{R"({"type": "string", "pattern": "^[\u00e0-\u00ff]+$"})", {"\"\xC3\xA9\""}, {R"("e")"}},
        Case{R"({"type": "string", "pattern": "^a*$", "minLength": 2, "maxLength": 3})",
             {R"("aa")", R"("aaa")"},
             {R"("a")", R"("aaaa")", R"("ab")"}},
        Case{R"({"type": "string", "pattern": "^(ab){2,}$", "maxLength": 7})",
             {R"("abab")", R"("ababab")"},
             {R"("abababab")"}},
        Case{R"({"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "z$"}]})",
             {R"("az")", R"("abz")"},
             {R"("a")"}}));

INSTANTIATE_TEST_SUITE_P(
    Formats, SchemaGrammar,
    testing::Values(
        Case{R"({"type": "string", "format": "date"})",
             {R"("2024-02-29")", R"("2023-12-31")", R"("2000-02-29")", R"("0001-01-01")"},
             {R"("2023-02-29")", R"("1900-02-29")", R"("2023-04-31")", R"("2023-13-01")", R"("0000-01-01")",
              R"("23-1-1")"}},
        Case{R"({"type": "string", "format": "time"})",
             {R"("23:59:59Z")", R"("00:00:00.5+02:00")"},
             {R"("24:00:00Z")", R"("1:2:3")"}},
        Case{R"({"type": "string", "format": "date-time"})", {R"("2024-02-29T12:00:00Z")"}, {R"("2024-02-29 12:00")"}},
        Case{R"({"type": "string", "format": "duration"})",
             {R"("P1Y2M3DT4H5M6S")", R"("PT5M")", R"("P2W")"},
             {R"("P")", R"("PT")", R"("5M")"}},
        Case{R"({"type": "string", "format": "email"})",
             {R"("a.b@example.com")"},
             {R"("a@b")", R"("@x.de")", R"("a b@x.de")"}},
        Case{R"({"type": "string", "format": "hostname"})", {R"("example.com")", R"("a-b")"}, {R"("-a")", R"("a..b")"}},
        Case{R"({"type": "string", "format": "ipv4"})",
             {R"("127.0.0.1")", R"("255.255.255.255")"},
             {R"("256.0.0.1")", R"("1.2.3")", R"("01.2.3.4")"}},
        Case{R"({"type": "string", "format": "ipv6"})",
             {R"("::1")", R"("fe80::1")", R"("::")", R"("1:2:3:4:5:6:7:8")"},
             {R"("1:2")", R"("1::2::3")", R"(":1")"}},
        Case{R"({"type": "string", "format": "uuid"})",
             {R"("123e4567-e89b-12d3-a456-426614174000")"},
             {R"("123e4567")"}},
        Case{R"({"type": "string", "format": "uri", "maxLength": 200})",
             {R"("https://example.com/a?b=c")"},
             {R"("example.com")"}}));

INSTANTIATE_TEST_SUITE_P(
    Combinations, SchemaGrammar,
    testing::Values(
        Case{R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})",
             {"12", R"("a")"},
             {R"("ab")", "null"}},
        Case{R"({"oneOf": [{"const": 1}, {"const": 2}]})", {"1", "2"}, {"3", "12"}},
        Case{R"({"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"],
                 "anyOf": [{"properties": {"k": {"const": "a"}, "x": {"type": "integer"}}, "required": ["x"]},
                           {"properties": {"k": {"const": "b"}}}]})",
             {R"({"k": "a", "x": 1})", R"({"k": "b"})"},
             {R"({"k": "a"})", R"({"k": "c"})", R"({"k": "b", "x": 1})"}},
        Case{R"({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                           {"properties": {"b": {"type": "null"}, "a": {"minimum": 5}}}]})",
             {R"({"a": 5})", R"({"a": 6, "b": null})"},
             {R"({"a": 4})", R"({"b": null})"}},
        Case{
            R"({"allOf": [{"properties": {"a": {"const": 1}}, "additionalProperties": false}, {"properties": {"b": {"const": 2}}}]})",
            {"{}", R"({"a": 1})"},
            {R"({"a": 1, "b": 2})"}},
        Case{R"({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"},
                 "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["v", "next"]}}})",
             {R"({"v": 1, "next": null})", R"({"v": 1, "next": {"v": 2, "next": null}})"},
             {R"({"v": 1})", R"({"v": 1, "next": {}})"}},
        Case{R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[], [[]]]"}, {"[1]"}},
        Case{
            R"({"properties": {"a~b/c": {"type": "object", "properties": {"x": {"const": 1}}}, "d": {"$ref": "#/properties/a~0b~1c",
                 "description": "the same"}}})",
            {R"({"d": {"x": 1}})"},
            {R"({"d": {"y": 1}})"}},
        Case{R"({"$ref": "#/$defs/s", "maxLength": 2, "$defs": {"s": {"type": "string"}}})",
             {R"("ab")"},
             {R"("abc")", "1"}},
        Case{R"({"anyOf": [{"type": "integer"}, false]})", {"1"}, {"null"}}));

struct Refusal {
  std::string schema;
  std::vector<std::string> says;
};

class SchemaRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(SchemaRefusal, NamesTheKeywordAndItsPlace) {
  const std::string message = refusal(GetParam().schema);
  EXPECT_FALSE(message.empty()) << GetParam().schema;
  for (const std::string& words : GetParam().says) EXPECT_THAT(message, HasSubstr(words)) << GetParam().schema;
}

INSTANTIATE_TEST_SUITE_P(
    All, SchemaRefusal,
    testing::Values(
        Refusal{R"({"type": "array", "items": {}, "uniqueItems": true})", {"#/uniqueItems", "not supported"}},
        Refusal{R"({"properties": {"a": {"not": {}}}})", {"#/properties/a/not"}},
        Refusal{R"({"type": "object", "patternProperties": {}})", {"#/patternProperties"}},
        Refusal{R"({"if": {}, "then": {}})", {"#/if"}},
        Refusal{R"({"$defs": {"a": {"minContains": 1}}, "items": {"$ref": "#/$defs/a"}})", {"#/$defs/a/minContains"}},
        Refusal{R"({"type": "strnig"})", {"#/type"}}, Refusal{R"({"type": 1})", {"#/type"}},
        Refusal{R"({"$ref": "#/$defs/none"})", {"#/$ref", "nothing"}},
        Refusal{R"({"$ref": "https://example.com/x.json"})", {"#/$ref"}}, Refusal{R"({"$ref": "#"})", {"itself"}},
        Refusal{R"({"anyOf": [{"$ref": "#"}, {"type": "string"}]})", {"itself"}},
        Refusal{R"x({"type": "string", "pattern": "(?=a)"})x", {"#/pattern", "look"}},
        Refusal{R"({"type": "string", "pattern": "(a)\\1"})", {"#/pattern", "\\1"}},
        Refusal{R"({"type": "string", "pattern": "a\\b"})", {"#/pattern"}},
        Refusal{R"({"type": "string", "pattern": "(a"})", {"#/pattern", "without ')'"}},
        Refusal{R"({"type": "string", "pattern": "["})", {"#/pattern"}},
        Refusal{R"x({"type": "string", "pattern": "a)"})x", {"#/pattern"}},
        Refusal{R"({"type": "string", "pattern": "*a"})", {"#/pattern"}},
        Refusal{R"({"type": "string", "format": "telephone"})", {"#/format", "telephone"}},
        Refusal{R"({"type": "number", "multipleOf": 0.3})", {"multipleOf"}},
        Refusal{R"({"type": "number", "multipleOf": 0})", {"#/multipleOf"}},
        Refusal{R"({"type": "integer", "minimum": 5, "maximum": 4})", {"no number"}},
        Refusal{R"({"minLength": -1})", {"#/minLength"}}, Refusal{R"({"required": [1]})", {"#/required"}},
        Refusal{R"({"properties": []})", {"#/properties"}}, Refusal{R"({"properties": {"a": 1}})", {"#/properties/a"}},
        Refusal{R"({"enum": 1})", {"#/enum"}}, Refusal{R"({"enum": []})", {"no JSON value"}},
        Refusal{"false", {"no JSON value"}},
        Refusal{R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})", {"no JSON value"}},
        Refusal{R"({"type": "array", "minItems": 1, "items": {"$ref": "#"}})", {"no JSON value"}},
        Refusal{R"({"minItems": 3, "maxItems": 2})", {"no JSON value"}}, Refusal{"[]", {"must be a schema"}},
        Refusal{"{", {"not valid JSON"}}, Refusal{"[}]:", {"not valid JSON"}},
        Refusal{std::string(100, '[') + std::string(100, ']'), {"64"}}));

TEST(SchemaGrammar, EndsQuicklyOnHostileSchemas) {
  std::string wide = R"({"type": "object", "properties": {)";
  for (int i = 0; i < 40000; ++i) wide += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(": {"type": "integer"})";
  wide += "}}";
  std::string choices = R"({"allOf": [)";
  for (int i = 0; i < 12; ++i)
    choices += std::string(i > 0 ? "," : "") + R"({"anyOf": [{"minLength": 1}, {"minLength": 2}, {"minLength": 3}]})";
  choices += "]}";
  std::string chain = R"({"$ref": "#/$defs/0", "$defs": {)";
  for (int i = 0; i < 1000; ++i)
    chain += "\"" + std::to_string(i) + R"(": {"allOf": [{"$ref": "#/$defs/)" + std::to_string(i + 1) + "\"}]},";
  chain += R"("1000": {"type": "null"}}})";
  // Each level refers to the next twice, and both together.
  std::string tree = R"({"$ref": "#/$defs/0", "$defs": {)";
  for (int i = 0; i < 60; ++i) {
    const std::string next = R"({"$ref": "#/$defs/)" + std::to_string(i + 1) + "\"}";
    tree += "\"" + std::to_string(i) + R"(": {"type": "object", "properties": {"a": )" + next +
            R"(, "b": {"allOf": [)" + next + R"(, {"properties": {"c": )" + next +
            "}}]}}, \"anyOf\": [{}, {\"required\": [\"a\"]}]},";
  }
  tree += R"("60": {"type": "object"}}})";
  for (const std::string& schema :
       {wide, choices, chain, std::string(R"({"type": "string", "pattern": "(a|aa)*b.{1000}"})"),
        std::string(R"x({"type": "string", "pattern": "((((a{1,1000}){1,1000}){1,1000}){1,1000})"})x"),
        std::string(R"({"type": "string", "pattern": "^(.*a.*b.*c.*d.*e.*f.*g.*h.*){50}$"})"),
        std::string(R"({"type": "string", "pattern": ".*.*.*.*.*x.{400}y", "minLength": 4000})")})
    EXPECT_NE(refusal(schema), "") << schema.substr(0, 100);
  EXPECT_NO_THROW(refusal(tree));
}

// json.dumps() of Python writes these; so do models.
TEST(SchemaGrammar, TakesAnswersAsTheyAreUsuallyWritten) {
  const std::string schema = R"({
    "$defs": {"Step": {"type": "object", "title": "Step", "properties": {"explanation": {"type": "string"},
      "output": {"type": "string"}}, "required": ["explanation", "output"], "additionalProperties": false}},
    "type": "object", "title": "MathResponse", "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
      "final_answer": {"type": "string"}}, "required": ["steps", "final_answer"], "additionalProperties": false})";
  EXPECT_TRUE(accepts(schema, R"({"steps": [{"explanation": "Add.", "output": "x = 1"}], "final_answer": "x = 1"})"));
  EXPECT_TRUE(accepts(schema, R"({"steps":[],"final_answer":"\u00e9"})"));
  EXPECT_FALSE(accepts(schema, R"({"final_answer": "x", "steps": []})"));
}

TEST(SchemaGrammar, BoundsDepth) {
  const auto grammar = schema_grammar(R"({"type": "array", "items": {"$ref": "#"}})");
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(accepts(grammar, nested(60)));
  EXPECT_FALSE(accepts(grammar, nested(70)));
}

}  // namespace
}  // namespace kvasir::engine
