#include "gateway/upstream_backend.hpp"

#include "gateway/flight_receiver.hpp"
#include "gateway/json_text.hpp"
#include "gateway/openai_request.hpp"

#include <array>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <simdjson.h>

namespace kvasir::gateway {
namespace {

// What a conversation begins with stays the same through its turns, and so does the upstream that has it in its KV.
std::uint64_t prefix_key(const BackendCall& call) {
  const rag::Prompt& prompt = call.prompt;
  std::string documents;
  for (const std::string& key : prompt.documents.keys()) documents.append(key).append("\n");
  const std::string_view turn = prompt.history.empty() ? prompt.question : prompt.history.front().text;
  const std::array<std::string_view, 4> parts{call.tenant, prompt.system, documents, turn};
  return affinity_key(parts);
}

std::string with_model(std::string_view body, const std::string& model) {
  std::string out = R"({"model":)";
  out.reserve(body.size() + model.size() + 16);
  append_json_string(out, model);
  for (const RawField& field : top_level_fields(body)) {
    if (field.key == "model") continue;
    out.append(",\"").append(field.key).append("\":").append(field.value);
  }
  return out += '}';
}

class ForwardReceiver final : public UpstreamReceiver {
 public:
  explicit ForwardReceiver(ForwardSink sink) : sink_(std::move(sink)) {}

  std::optional<ApiError> body(std::string body) override {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    const bool json = parser.parse(body).get(root) == simdjson::SUCCESS && (root.is_object() || root.is_array());
    if (!json) return bad_answer("an answer that is not JSON").error;
    reply.body = std::move(body);
    return std::nullopt;
  }
  Task<Verdict> bytes(std::string_view bytes) override {
    reply.streamed = true;
    if (!sink_) co_return Verdict::broken;
    const bool more = co_await sink_(bytes);
    co_return more ? Verdict::more : Verdict::done;
  }
  std::optional<ApiError> end() override {
    reply.streamed = true;
    return std::nullopt;
  }

  UpstreamReply reply;

 private:
  ForwardSink sink_;
};

}  // namespace

struct UpstreamBackend::Run {
  BackendCall call;
  std::shared_ptr<Flight> flight;
  Executor executor;
  UpstreamCall control{};
};

std::unique_ptr<UpstreamBackend> UpstreamBackend::make(const ModelSettings& model, const UpstreamHooks& hooks,
                                                       std::string& error) {
  auto client = UpstreamClient::make(model, hooks, error);
  if (!client) return nullptr;
  return std::unique_ptr<UpstreamBackend>(new UpstreamBackend(std::move(client)));
}

// Documents are written into the messages' text; parts that are not text cannot be written anew.
std::optional<ApiError> UpstreamBackend::check(const ChatRequest& request, const std::string&) {
  if (request.documents.empty() || request.text_only) return std::nullopt;
  return ApiError::invalid("'documents' cannot be combined with messages that are more than plain text.", "documents");
}

void UpstreamBackend::start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) {
  auto shared = std::make_shared<Run>(Run{std::move(call), flight, executor});
  // Only the coroutine owns the run: its connection must end with the I/O thread that it lives on.
  flight->on_cancel([weak = std::weak_ptr(shared), executor, closed = closed_] {
    if (closed->load()) return;
    asio::post(executor, [weak] {
      if (const auto cancelled = weak.lock()) cancelled->control.cancel();
    });
  });
  asio::co_spawn(executor, run(std::move(shared)), asio::detached);
}

Task<void> UpstreamBackend::run(std::shared_ptr<Run> run) {
  const BackendCall& call = run->call;
  UpstreamRequest request;
  request.path = "/chat/completions";
  request.body = [&call](const std::string& model, std::string& written) {
    return upstream_body(*call.request, call.prompt, model, written);
  };
  request.stream = call.request->stream;
  if (client_->has_choice()) request.affinity = prefix_key(call);
  request.request_id = call.request_id;
  request.traceparent = call.traceparent;
  FlightReceiver receiver(*run->flight, run->control);
  std::optional<ApiError> error;
  try {
    error = co_await client_->send(request, run->control, run->executor, receiver);
  } catch (const std::exception&) {  // a bug or exhausted memory: nobody may wait for ever
    error = ApiError::internal();
  }
  if (error && !receiver.ended() && !run->control.cancelled) run->flight->fail(std::move(*error));
}

Task<Result<UpstreamReply>> UpstreamBackend::forward(ForwardCall call, Executor executor, ForwardSink sink) {
  UpstreamRequest request;
  request.path = call.path;
  request.body = [&call](const std::string& model, std::string& written) -> std::string_view {
    return written = with_model(call.body, model);
  };
  request.stream = call.stream;
  const std::array<std::string_view, 2> parts{call.tenant, call.prefix};
  request.affinity = call.prefix.empty() ? static_cast<std::uint64_t>(random_unit() * 0x1p63) : affinity_key(parts);
  request.request_id = call.request_id;
  request.traceparent = call.traceparent;
  ForwardReceiver receiver(std::move(sink));
  auto error = co_await client_->send(request, *call.control, executor, receiver);
  if (error) co_return std::move(*error);
  co_return std::move(receiver.reply);
}

void UpstreamBackend::close() {
  closed_->store(true);
  client_->close();
}

}  // namespace kvasir::gateway
