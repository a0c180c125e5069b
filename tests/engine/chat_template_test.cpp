// Chat templates: those of real models against what Jinja makes of them, the language piece by piece, and bad
// templates.
#include "engine/chat_template.hpp"

#include "engine/chat_defaults.hpp"
#include "engine/model_file.hpp"
#include "tests/engine/small_tokenizer.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

namespace kvasir::engine {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

const std::vector<rag::Message> kChat{{rag::Role::system, "Be brief.", ""},
                                      {rag::Role::user, "Hello", ""},
                                      {rag::Role::assistant, "Hi", ""},
                                      {rag::Role::user, " Who? ", ""}};

const std::vector<rag::Message> kTurns{kChat.begin() + 1, kChat.end()};

// What a template makes of messages, or the error.
std::string render(std::string_view source, const std::vector<rag::Message>& messages = kTurns,
                   const std::vector<rag::Document>& documents = {}) {
  const auto parsed = ChatTemplate::parse(source, "<s>", "</s>");
  if (!parsed) return "error: " + parsed.error().message;
  const auto text = parsed->render(messages, documents, true);
  return text ? *text : "error: " + text.error().message;
}

ChatTemplate named(std::string_view name) {
  return *ChatTemplate::parse(chat_template_source(name), "<s>", "</s>");
}

struct Case {
  std::string source;
  std::string text;
};

class JinjaLanguage : public ::testing::TestWithParam<Case> {};

TEST_P(JinjaLanguage, MakesThisText) {
  EXPECT_EQ(render(GetParam().source), GetParam().text) << GetParam().source;
}

INSTANTIATE_TEST_SUITE_P(WhiteSpace, JinjaLanguage,
                         ::testing::Values(Case{"a\n{% if true %}\nb\n{% endif %}\nc", "a\nb\nc"},
                                           Case{"a\n  {% if true %}b{% endif %}", "a\nb"},
                                           Case{"a {% if true %} b {% endif %} c", "a  b  c"},
                                           Case{"a  {%- if true -%}  b{% endif %}", "ab"},
                                           Case{"a\n{{- 'b' -}}\n c", "abc"}, Case{"a\n{{ 'b' }}\nc", "a\nb\nc"},
                                           Case{"  {%+ if true %}a{% endif +%}\nb", "  a\nb"},
                                           Case{"a{#- x -#}  b{# y #}\nc", "abc"},
                                           Case{"line\r\nline\n", "line\nline"}));

INSTANTIATE_TEST_SUITE_P(
    Expressions, JinjaLanguage,
    ::testing::Values(
        Case{"{{ 1 + 2 * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }}", "7 3 -4 2 3.5 1024"},
        Case{"{{ 'a' ~ 1 ~ true ~ none }}", "a1TrueNone"}, Case{"{{ 'a' + 'b' * 3 }}", "abbb"},
        Case{"{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ not 1 > 2 }}", "True True True True"},
        Case{"{{ 'b' in 'abc' }} {{ 2 not in [1, 2] }} {{ 'x' in {'x': 1} }}", "True False True"},
        Case{"{{ '' or 'x' }} {{ 0 and 1 }} {{ 'a' if false else 'b' }}|{{ 'a' if false }}|", "x 0 b||"},
        Case{"{{ {'a': {'b': [1, 2]}}.a['b'][-1] }}", "2"},
        Case{"{{ [1, 'x', none, {'k': 1.0}] }}", "[1, 'x', None, {'k': 1.0}]"},
        Case{"{{ [1,2,3,4][1:] }} {{ 'chào'[:-1] }} {{ 'abc'[::-1] }} {{ [1,2,3][5:] }}", "[2, 3, 4] chà cba []"},
        Case{"{{ 'chào bạn'[3:-2] }}|{{ 'chào'[9:] }}|{{ 'chào'[2] }}|{{ 'chào'[::2] }}", "o b||à|cà"},
        Case{"{{ 'tab\\tquote\\'\\u00e9' }}", "tab\tquote'é"}, Case{"{{ 'a' 'b' }}", "ab"},
        Case{"{{ {'}}': '%}'}['}}'] }}", "%}"},
        Case{"{{ messages[0].role }} {{ messages[1]['content'] }} {{ messages|length }}", "user Hi 3"},
        Case{"{{ messages[1] == messages[1] }} {{ [1, 2] == [1, 2] }}", "True True"},
        Case{"{{ nothing }}|{{ none }}", "|None"},
        Case{"{{ bos_token + eos_token }}{{ tools is none }}", "<s></s>True"}));

INSTANTIATE_TEST_SUITE_P(
    Statements, JinjaLanguage,
    ::testing::Values(
        Case{"{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}{{ ' ' if not loop.last "
             "}}{% endfor %}",
             "1/2 2/2"},
        Case{"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "a1b2"},
        Case{"{% for x in [] %}x{% else %}none{% endfor %}", "none"},
        Case{"{% for x in range(9) %}{% if x == 2 %}{% continue %}{% elif x == 4 %}{% break %}{% endif %}{{ x }}{% "
             "endfor %}",
             "013"},
        Case{"{% for x in 'ab' %}{{ loop.previtem }}{{ loop.first }}{{ loop.nextitem }}{% endfor %}", "TruebaFalse"},
        Case{"{% set x = 1 %}{% for i in [1, 2] %}{% set x = 5 %}{% endfor %}{{ x }}", "1"},
        Case{"{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "4"},
        Case{"{% set a, b = [1, 2] %}{{ b }}{% set t %}<{{ a }}>{% endset %}{{ t }}", "2<1>"},
        Case{"{% macro m(a, b='x') %}{{ a }}{{ b }}{{ hidden }}{% endmacro %}{% for hidden in [1] %}{{ m(1) + m(2, "
             "b='y') }}{% endfor %}",
             "1x2y"},
        Case{"{% if false %}a{% elif true %}b{% else %}c{% endif %}", "b"},
        Case{"{% generation %}x{% endgeneration %}", "x"}));

INSTANTIATE_TEST_SUITE_P(
    FiltersTestsAndMethods, JinjaLanguage,
    ::testing::Values(
        Case{"{{ '  a ' | trim }}|{{ 'Ab' | upper }}|{{ 'ÄB' | lower }}|{{ 'ab cd' | title }}|{{ 'aBC' | capitalize }}",
             "a|AB|äb|Ab Cd|Abc"},
        Case{"{{ [1, 2] | join(', ') }} {{ [1, 2] | first }} {{ 'xyz' | last }} {{ 'aXbX' | replace('X', '-') }}",
             "1, 2 1 z a-b-"},
        Case{"{{ {'a': [1, true, none, 'é\"']} | tojson }}", "{\"a\": [1, true, null, \"é\\\"\"]}"},
        Case{"{{ {'a': [1]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"},
        Case{"{{ nothing | default('d') }} {{ '' | default('d', true) }} {{ '5' | int + 1 }}", "d d 6"},
        Case{"{{ messages | map(attribute='role') | join(' ') }}", "user assistant user"},
        Case{"{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "2"},
        Case{"{{ messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='content') | list }}",
             "['Hi']"},
        Case{"{{ [3, 1, 2] | sort | reverse | list }} {{ [1, 1, 2] | unique | list | sum }}", "[3, 2, 1] 3"},
        Case{"{{ \"they're in-laws\" | title }} {{ \"they're\".title() }}", "They're In-Laws They'Re"},
        Case{"{{ 'aaa'.replace('a', 'b', -9223372036854775807 - 1) }} {{ 'a,b'.split(',', -9223372036854775807 - 1) }}",
             "bbb ['a', 'b']"},
        Case{"{{ 'a\nb' | indent(2) }}", "a\n  b"}, Case{"{{ {'b': 1, 'a': 2} | dictsort }}", "[['a', 2], ['b', 1]]"},
        Case{"{{ x is defined }} {{ 'a' is string }} {{ 3 is odd }} {{ none is not none }} {{ 6 is divisibleby 3 }} {{ "
             "{} is mapping }}",
             "False True True False True True"},
        Case{"{{ ' a '.strip() }}|{{ 'xxa'.lstrip('x') }}|{{ 'a,b'.split(',') }}|{{ 'a  b'.split() }}|{{ "
             "'a.b.c'.split('.', 1)[-1] }}",
             "a|a|['a', 'b']|['a', 'b']|b.c"},
        Case{"{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'chào'.find('o') }} {{ ','.join(['a', "
             "'b']) }}",
             "True True 3 a,b"},
        Case{"{{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | "
             "list }}",
             "2 None ['a'] [1]"}));

INSTANTIATE_TEST_SUITE_P(
    Errors, JinjaLanguage,
    ::testing::Values(
        Case{"a\n{% if x %}",
             "error: the chat template cannot be read, line 2: the if of line 2 is not closed with endif before the "
             "end of the template"},
        Case{"{{ 1 +", "error: the chat template cannot be read, line 1: a tag is not closed with }}"},
        Case{"\n\n{{ 1 | nonsense }}",
             "error: the chat template cannot be read, line 3: there is no filter 'nonsense'"},
        Case{"{{ 1 is nonsense }}", "error: the chat template cannot be read, line 1: there is no test 'nonsense'"},
        Case{"{% include 'x' %}",
             "error: the chat template cannot be read, line 1: this kind of tag is not supported: 'include'"},
        Case{"{% endfor %}", "error: the chat template cannot be read, line 1: nothing is open that could end at {%"},
        Case{"{{ 'x }}", "error: the chat template cannot be read, line 1: a string is not closed"},
        Case{"{{ ) }}", "error: the chat template cannot be read, line 1: ')' closes nothing"},
        Case{"{# x", "error: the chat template cannot be read, line 1: a comment is not closed with #}"},
        Case{"\n{{ nothing.x }}", "error: the chat template fails, line 2: 'nothing' is undefined"},
        Case{"{{ 'a' + 1 }}", "error: the chat template fails, line 1: '+' cannot combine a string and an integer"},
        Case{"{{ 'abc'[::-9223372036854775807 - 1] }}",
             "error: the chat template fails, line 1: the step of a slice is out of range"},
        Case{"{{ [1][::9223372036854775807] }}",
             "error: the chat template fails, line 1: the step of a slice is out of range"},
        Case{"{{ 1 // 0 }}", "error: the chat template fails, line 1: division by zero"},
        Case{"{{ nothing() }}",
             "error: the chat template fails, line 1: 'nothing' is an undefined value and cannot be called"},
        Case{"{{ 9223372036854775807 + 1 }}", "error: the chat template fails, line 1: an integer is out of range"},
        Case{"{{ (-9223372036854775807 - 1) // -1 }}",
             "error: the chat template fails, line 1: an integer is out of range"}));

TEST(ChatTemplate, RaisedExceptionsReachTheCallerInTheTemplatesWords) {
  const auto parsed = ChatTemplate::parse(
      "{{ messages[0].content }}{% if messages | length > 3 %}{{ raise_exception('roles must alternate') }}{% endif %}",
      "", "");
  ASSERT_TRUE(parsed);
  const auto text = parsed->render(kChat, {}, true);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::bad_request);
  EXPECT_EQ(text.error().message, "roles must alternate");
  EXPECT_EQ(text.error().param, "messages");
}

TEST(ChatDefaults, EachNameWritesTheTurnsAsItsFamilyReadsThem) {
  const std::map<std::string, std::string> texts{
      {"gemma",
       "<start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\nHi<end_of_turn>\n"
       "<start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n"},
      {"llama2", "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello [/INST] Hi </s><s>[INST] Who? [/INST]"},
      {"llama3",
       "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
       "Hello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"phi3",
       "<|system|>\nBe brief.<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nHi<|end|>\n<|user|>\n Who? <|end|>\n"
       "<|assistant|>\n"},
      {"mistral", "[INST] Be brief.\n\nHello [/INST] Hi</s>[INST] Who? [/INST]"},
      {"plain", "Be brief.\n\nUser: Hello\nAssistant: Hi\nUser:  Who? \nAssistant:"}};
  for (const auto& [name, text] : texts) EXPECT_EQ(*named(name).render(kChat, {}, true), text) << name;
  EXPECT_EQ(*named("gemma").render(kTurns, {}, false),
            "<start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\nHi<end_of_turn>\n"
            "<start_of_turn>user\nWho?<end_of_turn>\n");
}

TEST(ChatDefaults, EveryNameHasASource) {
  for (const std::string_view name : kChatTemplateNames) EXPECT_FALSE(chat_template_source(name).empty()) << name;
  EXPECT_TRUE(chat_template_source("klingon").empty());
}

TEST(ChatDefaults, AFileWithoutATemplateGetsTheOneOfItsMarksOrItsName) {
  const auto chosen = [](const std::vector<std::string>& specials, const std::string& name) {
    std::vector<std::string> tokens{"a"};
    tokens.insert(tokens.end(), specials.begin(), specials.end());
    std::vector<std::int32_t> types(tokens.size(), kControl);
    types[0] = kNormal;
    GgufWriter gguf;
    gguf.text("general.name", name);
    gguf.text("tokenizer.ggml.model", "gpt2");
    gguf.text("tokenizer.ggml.pre", "gpt-2");
    gguf.texts("tokenizer.ggml.tokens", tokens);
    gguf.integers("tokenizer.ggml.token_type", types);
    gguf.texts("tokenizer.ggml.merges", {});
    const auto path = std::filesystem::temp_directory_path() / ("kvasir-chat-defaults-" + std::to_string(::getpid()));
    gguf.write(path);
    const auto file = ModelFile::open(path);
    std::filesystem::remove(path);
    return std::string(default_chat_template(*file, **Tokenizer::from(*file)));
  };
  EXPECT_EQ(chosen({"<|im_start|>", "<|im_end|>"}, ""), "chatml");
  EXPECT_EQ(chosen({"<start_of_turn>", "<end_of_turn>"}, ""), "gemma");
  EXPECT_EQ(chosen({"<|start_header_id|>", "<|eot_id|>"}, ""), "llama3");
  EXPECT_EQ(chosen({"<|assistant|>", "<|end|>"}, ""), "phi3");
  EXPECT_EQ(chosen({"[INST]", "[/INST]"}, ""), "mistral");
  EXPECT_EQ(chosen({}, "Mistral 7B Instruct v0.2"), "mistral");
  EXPECT_EQ(chosen({}, "Llama-2 7B Chat"), "llama2");
  EXPECT_EQ(chosen({"<|im_start|>"}, "Llama-2 7B"), "plain");
}

TEST(ChatTemplate, ChatMlWritesEveryTurnAndOpensTheAnswer) {
  EXPECT_EQ(*named("chatml").render(kChat, {}, true),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
            "<|im_start|>assistant\nHi<|im_end|>\n<|im_start|>user\n Who? <|im_end|>\n<|im_start|>assistant\n");
  EXPECT_THAT(*named("chatml").render(kChat, {}, false), ::testing::EndsWith(" Who? <|im_end|>\n"));
}

TEST(ChatTemplate, ASystemMessageThatTheTemplateRefusesOrIgnoresIsPutBeforeTheFirstQuestion) {
  const std::string refusing =
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
      "{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}";
  EXPECT_EQ(render(refusing, kChat), "[user: Be brief.\nHello][assistant: Hi][user:  Who? ]");
  const std::string ignoring = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}";
  EXPECT_EQ(render(ignoring, kChat), "[Be brief.\nHello][Hi][ Who? ]");
}

TEST(ChatTemplate, TheDevelopersRoleIsTheSystemsToAModel) {
  const std::vector<rag::Message> messages{{rag::Role::developer, "Be brief.", ""}, {rag::Role::user, "Hi", ""}};
  EXPECT_THAT(*named("chatml").render(messages, {}, true), StartsWith("<|im_start|>system\nBe brief."));
}

TEST(ChatTemplate, DocumentsReachTemplatesThatKnowThem) {
  const std::string source =
      "{% if documents %}{% for d in documents %}<{{ d.title }}: {{ d['text'] }}>{% endfor %}{% endif %}";
  const std::vector<rag::Document> documents{{"d1", "body", "Title", "", ""}};
  EXPECT_EQ(render(source, kTurns, documents), "<Title: body>");
  EXPECT_EQ(render(source), "");
  EXPECT_TRUE(ChatTemplate::parse(source, "", "")->knows_documents());
  EXPECT_FALSE(ChatTemplate::parse("documents {{ 'documents' }}", "", "")->knows_documents());
}

TEST(ChatTemplate, TextOfTheUserIsNeverTakenForATemplate) {
  const std::vector<rag::Message> messages{{rag::Role::user, "{{ 1 + 1 }}{% if %}", ""}};
  EXPECT_THAT(*named("chatml").render(messages, {}, true), HasSubstr("{{ 1 + 1 }}{% if %}"));
}

class HostileTemplate : public ::testing::TestWithParam<Case> {};

TEST_P(HostileTemplate, EndsWithAnError) {
  EXPECT_THAT(render(GetParam().source), HasSubstr(GetParam().text));
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// Two lists with 2^60 leaves each, in few bytes: every list holds the one before twice.
const std::string kDoubled =
    "{% set ns = namespace(a=['x'], b=['x']) %}"
    "{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";

INSTANTIATE_TEST_SUITE_P(
    Limits, HostileTemplate,
    ::testing::Values(
        Case{"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "the template "},
        Case{"{{ range(9999999999) }}", "makes too much text"}, Case{"{{ 'x' * 9999999999 }}", "makes too much text"},
        Case{"{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
             "makes too much text"},
        Case{"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recurses too deeply"},
        Case{"{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
             "nested too deeply"},
        Case{kDoubled + "{{ ns.a }}", "makes too much text"}, Case{kDoubled + "{{ ns.a | tojson }}", "makes too much"},
        Case{kDoubled + "{{ ns.a | tojson(indent=16) }}", "makes too much text"},
        Case{kDoubled + "{{ ns.a ~ '' }}", "makes too much text"},
        Case{kDoubled + "{{ ns.a | string }}", "makes too much text"},
        Case{kDoubled + "{{ [ns.a] | join }}", "makes too much text"},
        Case{kDoubled + "{{ ns.a is upper }}", "makes too much text"},
        Case{kDoubled + "{{ {ns.a: 1} }}", "makes too much text"},
        Case{kDoubled + "{{ raise_exception(ns.a) }}", "makes too much text"},
        Case{kDoubled + "{{ ns.a == ns.b }}", "takes too many steps"},
        Case{kDoubled + "{{ ns.a is eq ns.b }}", "takes too many steps"},
        Case{kDoubled + "{{ ns.a in [ns.b] }}", "takes too many steps"},
        Case{kDoubled + "{{ {'k': ns.a} != {'k': ns.b} }}", "takes too many steps"},
        Case{kDoubled + "{{ [ns.a, ns.b] | unique | list }}", "takes too many steps"},
        Case{"{% set a = 'a' * 100000 %}{{ a | replace('a', a) }}", "makes too much text"},
        Case{"{% set a = 'a' * 100000 %}{{ a.replace('', a) }}", "makes too much text"},
        Case{"{% set a = '&' * 8000000 %}{{ a | escape }}", "makes too much text"},
        Case{"{% set a = 'a' * 8000000 %}{{ a.split('a') }}", "makes too much text"},
        Case{"{% set a = 'a' * 8000000 %}{% for i in range(9999) %}{{ a | length }}{% endfor %}", "too many steps"},
        Case{"{% set a = 'a' * 4000000 %}{% set b = a ~ '' %}{% for i in range(9999) %}{{ a == b }}{% endfor %}",
             "too many steps"},
        Case{"{% set ns = namespace() %}{% set ns.x = ns %}", "cannot hold a namespace"},
        Case{"{% set ns = namespace() %}{% set ns.x = [ns] %}", "holds a namespace"},
        Case{"{{ " + repeated("(", 9999) + "1" + repeated(")", 9999) + " }}", "nested too deeply"},
        Case{"{{ " + repeated("not ", 9999) + "1 }}", "nested too deeply"},
        Case{"{{ " + repeated("-", 9999) + "1 }}", "nested too deeply"},
        Case{"{{ 1" + repeated(" + 1", 9999) + " }}", "too long"},
        Case{"{{ 'x'" + repeated("|trim", 9999) + " }}", "too long"},
        Case{repeated("{% if true %}", 9999), "nested too deeply"}, Case{repeated("x", 2 << 20), "larger than 1 MiB"}));

TEST(ChatTemplate, SharedTextIsSearchedInLinearTimeAndCopiedByNobody) {
  // 30 names of one text of 8 MB in a list would be 240 MB, and a search that starts over at every byte takes minutes.
  const std::string names = repeated("a, ", 30);
  EXPECT_EQ(render("{% set a = 'a' * 8000000 %}{% set all = [" + names + "] %}{{ all | length }}"), "30");
  EXPECT_EQ(render("{% set a = 'a' * 8000000 %}{{ 'a' * 1000000 + 'b' in a }}"), "False");
  EXPECT_EQ(render("{% set a = 'a' * 8000000 %}{{ a.find('a' * 1000000 + 'b') }}"), "-1");
}

TEST(ChatTemplate, ALongConversationIsWithinTheBudget) {
  const std::vector<rag::Message> messages(40, {rag::Role::user, std::string(100'000, 'x') + "</think> ok", ""});
  const std::string source =
      "{% for m in messages %}{% if '</think>' in m.content %}{{ m.content.split('</think>')[-1] | trim }}"
      "{{ m.content[:2] ~ m.content[-1] }}{% endif %}{% endfor %}";
  EXPECT_EQ(render(source, messages), repeated("okxxk", 40));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Leaves this process so little address space that a large block cannot be had.
void leave_no_memory() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = (pages + 256) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
  ::setrlimit(RLIMIT_AS, &limit);
}

TEST(ChatTemplate, WhereMemoryEndsRenderingAndParsingEndWithAnError) {
  const auto render_without_memory = [] {
    const std::vector<rag::Message> messages{{rag::Role::user, std::string(64 << 20, 'x'), ""}};
    const ChatTemplate chatml = named("chatml");
    leave_no_memory();
    const auto text = chatml.render(messages, {}, true);
    std::_Exit(!text && text.error().code == ErrorCode::bad_request ? 0 : 1);
  };
  EXPECT_EXIT(render_without_memory(), ::testing::ExitedWithCode(0), "");
  const auto parse_without_memory = [] {
    const std::string source = repeated("{{1}}", 200'000);
    leave_no_memory();
    const auto parsed = ChatTemplate::parse(source, "", "");
    std::_Exit(!parsed && parsed.error().code == ErrorCode::unsupported_model ? 0 : 1);
  };
  EXPECT_EXIT(parse_without_memory(), ::testing::ExitedWithCode(0), "");
}
#endif

TEST(ChatTemplate, RandomChangesToATemplateNeverDoHarm) {
  const std::string source =
      "{%- set ns = namespace(n=0) -%}{% for m in messages if m.role != 'x' %}{% set ns.n = ns.n + loop.index %}"
      "{{ m['content'] | trim | upper ~ [1, {'a': 2}][-1].a }}{% if loop.last and not false %}{{ ns.n // 2 }}{% endif "
      "%}"
      "{% endfor %}{% macro f(a, b=1) %}{{ a[1:] }}{% endmacro %}{{ f('abc') }}{# end #}";
  const std::string alphabet = source + "{}%#()[]|.,:'\"\\+-*/~<>=!0 \n\xF0";
  std::mt19937 random(3);
  int failed = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = source;
    for (std::size_t i = 1 + random() % 3; i > 0; --i)
      changed[random() % changed.size()] = alphabet[random() % alphabet.size()];
    failed += render(changed).starts_with("error: ") ? 1 : 0;
  }
  EXPECT_GT(failed, 0);
  EXPECT_LT(failed, 3000);
}

// The reference leaves out BOS in front and EOS at the end, which its tokenizer adds.
std::string without_outer_tokens(std::string text, const std::string& bos, const std::string& eos) {
  if (!bos.empty() && text.starts_with(bos)) text.erase(0, bos.size());
  if (!eos.empty() && text.ends_with(eos)) text.resize(text.size() - eos.size());
  return text;
}

rag::Role role_of(const std::string& name) {
  return name == "system" ? rag::Role::system : name == "user" ? rag::Role::user : rag::Role::assistant;
}

class ModelTemplates : public ::testing::TestWithParam<std::size_t> {};

TEST_P(ModelTemplates, RenderAsTheReferenceDoes) {
  const auto path = shared_data() / "ggml_vocab" / "chat_template_cases.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto file = read_json(path);
  ASSERT_LT(GetParam(), file["cases"].size());
  const auto& test = file["cases"][GetParam()];
  const std::string name = test["name"];
  if (!test["supported_with_jinja"].get<bool>()) GTEST_SKIP() << name << " needs variables that no model file holds";
  std::vector<rag::Message> messages;
  for (const auto& message : file["conversation"]) {
    messages.push_back({role_of(message["role"]), message["content"], ""});
  }
  const std::string bos = test.value("bos_token", "");
  const std::string eos = test.value("eos_token", "");
  const auto parsed = ChatTemplate::parse(test["template"].get<std::string>(), bos, eos);
  ASSERT_TRUE(parsed) << name << ": " << parsed.error().message;
  const auto text = parsed->render(messages, {}, file["add_generation_prompt"]);
  ASSERT_TRUE(text) << name << ": " << text.error().message;
  // For templates that Jinja itself renders otherwise, the reference's own text counts as well.
  std::vector<std::string> expected{test["expected_jinja"]};
  if (!test["verified_jinja2"].get<bool>()) expected.push_back(test["expected"]);
  EXPECT_THAT(expected, Contains(AnyOf(*text, without_outer_tokens(*text, bos, eos)))) << name;
}

INSTANTIATE_TEST_SUITE_P(ChatTemplate, ModelTemplates, ::testing::Range(std::size_t{0}, std::size_t{32}));

TEST(ChatTemplate, SmolLM2RendersAsTheReferenceDoes) {
  const auto path = model_path(kSmolLm2);
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no model at " << path << "; deploy/fetch_models.sh brings it";
  const auto file = ModelFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto parsed = ChatTemplate::parse(*file->text("tokenizer.chat_template"), "<|im_start|>", "<|im_end|>");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed->render(kChat, {}, true), *named("chatml").render(kChat, {}, true));
  const std::vector<rag::Message> question{{rag::Role::user, "Hi", ""}};
  EXPECT_EQ(*parsed->render(question, {}, true),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

}  // namespace
}  // namespace kvasir::engine
