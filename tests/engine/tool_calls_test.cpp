// Calls of tools: what the grammar lets a model write, the way back from text to calls, and tools in prompts.
#include "engine/chat_template.hpp"
#include "engine/engine.hpp"
#include "engine/tool_prompt.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/grammars.hpp"
#include "tests/engine/tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Tool kWeather{"get_weather",
                    R"({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})",
                    R"({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}})"};
const Tool kNow{"now", "", R"({"type": "function", "function": {"name": "now"}})"};

ToolUse use(ToolUse::Choice choice, bool parallel = true, std::string name = "") {
  return {{kWeather, kNow}, choice, std::move(name), parallel};
}

bool takes(const ToolUse& tools, ToolForm form, std::string_view text, const OutputFormat& format = {}) {
  const auto grammar = tool_grammar(format, tools, form);
  if (!grammar) throw std::runtime_error(grammar.error().message);
  return accepts(*grammar, text);
}

constexpr const char* kCallWeather =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Hue\"}}\n</tool_call>";
constexpr const char* kCallNow = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
constexpr const char* kBareWeather = R"({"name": "get_weather", "parameters": {"city": "Hue"}})";

TEST(ToolGrammar, RequiresCallsWhoseArgumentsFit) {
  const ToolUse required = use(ToolUse::Choice::required);
  EXPECT_TRUE(takes(required, ToolForm::tagged, kCallWeather));
  EXPECT_TRUE(takes(required, ToolForm::tagged, std::string(kCallWeather) + "\n" + kCallNow));
  EXPECT_FALSE(takes(required, ToolForm::tagged, ""));
  EXPECT_FALSE(takes(required, ToolForm::tagged, "Hello"));
  EXPECT_FALSE(
      takes(required, ToolForm::tagged, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(
      takes(required, ToolForm::tagged, "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_TRUE(takes(required, ToolForm::bare, kBareWeather));
  EXPECT_FALSE(takes(required, ToolForm::bare, "Hello"));
}

TEST(ToolGrammar, CallsOnceWhereCallsAreNotParallelOrTheFunctionIsNamed) {
  const std::string two = std::string(kCallWeather) + "\n" + kCallNow;
  EXPECT_FALSE(takes(use(ToolUse::Choice::required, false), ToolForm::tagged, two));
  EXPECT_TRUE(takes(use(ToolUse::Choice::required, false), ToolForm::tagged, kCallNow));
  const ToolUse named = use(ToolUse::Choice::named, true, "get_weather");
  EXPECT_TRUE(takes(named, ToolForm::tagged, kCallWeather));
  EXPECT_FALSE(takes(named, ToolForm::tagged, kCallNow));
  EXPECT_FALSE(takes(named, ToolForm::tagged, two));
}

TEST(ToolGrammar, LeavesTextFreeUntilACallBegins) {
  const ToolUse automatic = use(ToolUse::Choice::automatic);
  for (const char* text : {"", "Hello <tool> <<tool_cal", "a < b\xFF"})
    EXPECT_TRUE(takes(automatic, ToolForm::tagged, text)) << text;
  EXPECT_TRUE(takes(automatic, ToolForm::tagged, kCallNow));
  EXPECT_TRUE(takes(automatic, ToolForm::tagged, std::string("Let me see. <<") + kCallNow + "\n" + kCallWeather));
  EXPECT_FALSE(takes(automatic, ToolForm::tagged, "Well <tool_call> no"));
  EXPECT_FALSE(takes(automatic, ToolForm::tagged, std::string(kCallNow) + " more"));
  EXPECT_TRUE(takes(automatic, ToolForm::bare, "Hello {}"));
  EXPECT_TRUE(takes(automatic, ToolForm::bare, kBareWeather));
  EXPECT_FALSE(takes(automatic, ToolForm::bare, R"({"name": "other"})"));
}

TEST(ToolGrammar, KeepsTextInItsFormat) {
  const OutputFormat format{OutputFormat::Kind::json_schema, R"({"type": "integer"})"};
  const ToolUse automatic = use(ToolUse::Choice::automatic);
  EXPECT_TRUE(takes(automatic, ToolForm::tagged, "12", format));
  EXPECT_TRUE(takes(automatic, ToolForm::tagged, kCallNow, format));
  EXPECT_FALSE(takes(automatic, ToolForm::tagged, "twelve", format));
}

TEST(ToolGrammar, RefusesParametersThatItCannotKeep) {
  const auto refused = [](std::string parameters) {
    ToolUse tools{{{"f", std::move(parameters), "{}"}}, ToolUse::Choice::required, "", true};
    const auto grammar = tool_grammar({}, tools, ToolForm::tagged);
    return grammar ? std::string() : grammar.error().message + " " + grammar.error().param;
  };
  EXPECT_THAT(refused(R"({"type": "object", "properties": {"a": {"not": {}}}})"), HasSubstr("'f': #/properties/a/not"));
  EXPECT_THAT(refused(R"({"type": "string"})"), HasSubstr("object"));
  EXPECT_THAT(refused("{"), HasSubstr("JSON"));
  EXPECT_THAT(refused("{"), HasSubstr("tools"));
}

struct Read {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;
};

// Pieces of `step` bytes.
Read read(const ToolUse& tools, ToolForm form, const std::string& text, std::size_t step) {
  ToolCallReader reader(tools, form);
  Read result;
  const auto take = [&](const ToolCallReader::Piece& piece) {
    result.content += piece.content;
    for (const ToolCallDelta& delta : piece.calls) {
      if (!delta.name.empty()) result.calls.emplace_back(delta.name, "");
      EXPECT_EQ(static_cast<std::size_t>(delta.index) + 1, result.calls.size());
      result.calls.back().second += delta.arguments;
    }
  };
  for (std::size_t at = 0; at < text.size(); at += step) take(reader.push(std::string_view(text).substr(at, step)));
  take(reader.finish());
  return result;
}

TEST(ToolCallReader, FindsContentAndCallsHoweverTheTextIsCut) {
  const ToolUse automatic = use(ToolUse::Choice::automatic);
  const std::string tricky = R"({"city": "a}\"{]\\"})";
  const std::string text = std::string("See < here: <tool_call>\n{\"name\": \"get_weather\", \"arguments\": ") +
                           tricky + "}\n</tool_call>\n" + kCallNow;
  for (std::size_t step = 1; step <= text.size(); ++step) {
    const Read result = read(automatic, ToolForm::tagged, text, step);
    EXPECT_EQ(result.content, "See < here: ") << step;
    ASSERT_EQ(result.calls.size(), 2U) << step;
    EXPECT_EQ(result.calls[0], std::make_pair(std::string("get_weather"), tricky));
    EXPECT_EQ(result.calls[1], std::make_pair(std::string("now"), std::string("{}")));
  }
  for (std::size_t step = 1; step <= 20; ++step) {
    const Read bare = read(automatic, ToolForm::bare, kBareWeather, step);
    EXPECT_EQ(bare.content, "");
    ASSERT_EQ(bare.calls.size(), 1U);
    EXPECT_EQ(bare.calls[0].second, R"({"city": "Hue"})");
    EXPECT_EQ(read(automatic, ToolForm::bare, "Hi {\"name\": \"now\"", step).content, "Hi {\"name\": \"now\"");
  }
}

TEST(ToolCallReader, ShowsWhatWasHeldBackWhenNoCallCame) {
  const Read result = read(use(ToolUse::Choice::automatic), ToolForm::tagged, "almost <tool_ca", 4);
  EXPECT_EQ(result.content, "almost <tool_ca");
  EXPECT_TRUE(result.calls.empty());
}

TEST(ToolCallReader, PassesArgumentsOnAsTheyCome) {
  ToolCallReader reader(use(ToolUse::Choice::required), ToolForm::tagged);
  EXPECT_TRUE(reader.push("<tool_call>\n{\"name\": \"get_weather\", \"argum").calls.empty());
  const auto begun = reader.push("ents\": {\"ci");
  ASSERT_EQ(begun.calls.size(), 2U);
  EXPECT_EQ(begun.calls[0].name, "get_weather");
  EXPECT_EQ(begun.calls[1].arguments, "{\"ci");
  EXPECT_EQ(reader.push("ty\": \"").calls.at(0).arguments, "ty\": \"");
}

std::string rendered(std::string_view source, const std::vector<rag::Message>& messages) {
  const auto chat = ChatTemplate::parse(source, "", "");
  if (!chat) return chat.error().message;
  const std::vector<Tool> tools{kWeather};
  const auto text = chat->render(messages, {}, true, tools);
  return text ? *text : text.error().message;
}

const std::vector<rag::Message> kConversation{
    {rag::Role::system, "Be brief.", ""},
    {rag::Role::user, "Weather in Hue?", ""},
    {rag::Role::assistant, "", "", {{"call_1", "get_weather", R"({"city": "Hue"})"}}, ""},
    {rag::Role::tool, "Rain", "", {}, "call_1"},
    {rag::Role::tool, "Wind", "", {}, "call_2"}};

TEST(ToolPrompt, SpellsToolsOutForATemplateThatKnowsNone) {
  const std::string text =
      rendered("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}", kConversation);
  EXPECT_THAT(text, HasSubstr("[system] Be brief.\n\n# Tools"));
  EXPECT_THAT(text, HasSubstr(kWeather.definition));
  EXPECT_THAT(
      text,
      HasSubstr(
          "[assistant] <tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Hue\"}}\n</tool_call>"));
  EXPECT_THAT(text,
              HasSubstr("[user] <tool_response>\nRain\n</tool_response>\n<tool_response>\nWind\n</tool_response>"));
  EXPECT_THAT(text, Not(HasSubstr("[tool]")));
}

TEST(ToolPrompt, LeavesThemToATemplateThatShowsThem) {
  constexpr const char* kSource =
      "{% if tools %}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% endif %}{% for m in messages %}"
      "[{{ m.role }}] {{ m.content }}{% for call in m.tool_calls or [] %}<tool_call>{{ call.function.name }} "
      "{{ call.function.arguments.city }} {{ call.id }}{% endfor %}{{ m.tool_call_id or '' }}{% endfor %}";
  const std::string text = rendered(kSource, kConversation);
  EXPECT_THAT(text, HasSubstr(R"({"type": "function", "function": {"name": "get_weather")"));
  EXPECT_THAT(text, HasSubstr("<tool_call>get_weather Hue call_1"));
  EXPECT_THAT(text, HasSubstr("[tool] Raincall_1"));
  EXPECT_EQ(ChatTemplate::parse(kSource, "", "")->tool_form(), ToolForm::tagged);
  EXPECT_EQ(ChatTemplate::parse("{% if tools %}\"parameters\"{% endif %}", "", "")->tool_form(), ToolForm::bare);
}

class Calls final : public GenerateListener {
 public:
  void started(int, int) override {}
  void delta(std::string text, std::vector<TokenLogprob>) override { content += text; }
  void tool_call(const ToolCallDelta& piece) override {
    if (!piece.name.empty()) calls.emplace_back(piece.name, "");
    calls.back().second += piece.arguments;
  }
  void finished(const GenerateSummary& result) override {
    summary = result;
    done_.set_value();
  }
  void failed(const Error& problem) override {
    error = problem;
    done_.set_value();
  }
  void wait() { done_.get_future().get(); }

  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;
  GenerateSummary summary;
  std::optional<Error> error;

 private:
  std::promise<void> done_;
};

TEST(ToolCalls, ComeFromAModelThatKnowsNothingOfThem) {
  const TinyModelFile file;
  EngineSettings settings;
  settings.gguf = file.path();
  settings.kv_memory = 32U << 20;
  settings.threads = 1;
  const auto engine = Engine::load(settings);
  ASSERT_TRUE(engine);
  Tool tool = kWeather;
  tool.parameters = R"({"type": "object", "properties": {"city": {"enum": ["Hue", "Hanoi"]}}, "required": ["city"]})";
  for (const auto& [choice, reason] : std::vector<std::pair<ToolUse::Choice, FinishReason>>{
           {ToolUse::Choice::required, FinishReason::tool_calls}, {ToolUse::Choice::named, FinishReason::stop}}) {
    GenerateInput input;
    input.prompt = rag::analyse({{rag::Role::user, "Weather?", ""}}, {});
    input.tools = {{tool}, choice, "get_weather", false};
    GenerateRequest request;
    request.input = std::make_shared<GenerateInput>(std::move(input));
    request.max_tokens = 600;
    request.sampling.seed = 3;
    const auto listener = std::make_shared<Calls>();
    (*engine)->submit(std::move(request), listener);
    listener->wait();
    ASSERT_FALSE(listener->error) << listener->error->message;
    EXPECT_EQ(listener->content, "");
    ASSERT_EQ(listener->calls.size(), 1U);
    EXPECT_EQ(listener->calls[0].first, "get_weather");
    const auto arguments = nlohmann::json::parse(listener->calls[0].second);
    EXPECT_TRUE(arguments["city"] == "Hue" || arguments["city"] == "Hanoi");
    EXPECT_EQ(listener->summary.finish, reason);
  }
}

}  // namespace
}  // namespace kvasir::engine
