#include "gateway/embeddings_endpoint.hpp"

#include "gateway/error_response.hpp"
#include "gateway/field_reader.hpp"
#include "gateway/json_text.hpp"
#include "gateway/pass_on.hpp"
#include "gateway/token_estimate.hpp"

#include <charconv>
#include <span>

#include <openssl/evp.h>

namespace kvasir::gateway {
namespace {

// One turn on the embedder's thread, so that a question of a chat never waits for a whole batch of documents.
constexpr std::size_t kTokensPerTurn = 512;
constexpr std::size_t kTextBytesPerTurn = 256 << 10;
// Prices are those of models; the embedder is none of them.
constexpr Price kFree;

void append_floats(std::string& out, std::span<const float> values) {
  out += '[';
  for (const float value : values) {
    if (out.back() != '[') out += ',';
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
  out += ']';
}

// Little-endian float32, as this machine has them (RFC 4648, section 4).
void append_base64(std::string& out, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  const std::size_t begin = out.size() + 1;
  const std::size_t length = (bytes.size() + 2) / 3 * 4;
  out += '"';
  out.resize(begin + length + 1);  // and the zero that EVP_EncodeBlock writes
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + begin),
                  reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.back() = '"';
}

}  // namespace

struct EmbeddingsEndpoint::Job {
  EmbeddingsRequest request;
  std::vector<Tokens> inputs{};
  std::vector<float> vectors{};  // row after row
  int dimension = 0;
  int tokens = 0;
  std::optional<ApiError> error{};
  bool gone = false;  // the client

  bool over() const { return error || gone; }
  void overloaded() { error = ApiError::rate_limited("The embedder is full; try again later.", 1); }
  std::string answer(std::string_view model) const;
};

std::string EmbeddingsEndpoint::Job::answer(std::string_view model) const {
  std::string out = R"({"object":"list","data":[)";
  const auto width = static_cast<std::size_t>(dimension);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"object":"embedding","index":)";
    append_number(out, i);
    out += R"(,"embedding":)";
    const auto row = std::span(vectors).subspan(i * width, width);
    request.base64 ? append_base64(out, row) : append_floats(out, row);
    out += '}';
  }
  out += R"(],"model":)";
  append_json_string(out, model);
  out += R"(,"usage":{"prompt_tokens":)";
  append_number(out, tokens);
  out += R"(,"total_tokens":)";
  append_number(out, tokens);
  return out += "}}";
}

Task<void> EmbeddingsEndpoint::handle(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  std::string& body = exchange.request().body;
  auto request = parse_embeddings_request(body);
  if (!request) {
    co_await refuse(exchange, record, request.error());
    co_return;
  }
  const TokenUsage most{estimated_tokens(body.size()), 0, 0};
  const auto* model = caller.find_model(request->model);
  if (serves(*request, caller)) {
    co_await answer(std::move(*request), most, exchange, caller, record);
  } else if (!request->model.empty() && model != nullptr && model->backend->upstream() != nullptr) {
    // A value with a name: GCC 12 destroys temporaries in a co_await twice.
    PassOn passed{"/embeddings", std::move(body), "", false, most};
    co_await pass_on(*model, std::move(passed), exchange, caller, record);
  } else {
    record.model = request->model;
    record.known_model = !record.model.empty() && model != nullptr;
    const ApiError error = why_not(*request, model);
    co_await refuse(exchange, record, error);
  }
  if (record.status == 200) record.stop_reason = "stop";  // there is no other end
}

bool EmbeddingsEndpoint::serves(const EmbeddingsRequest& request, const Caller& caller) const {
  return !name_.empty() && (request.model.empty() || request.model == name_) && caller.may_use(name_);
}

ApiError EmbeddingsEndpoint::why_not(const EmbeddingsRequest& request, const ModelTable::Model* model) {
  if (request.model.empty()) return ApiError::invalid("Missing required parameter: 'model'.", "model");
  if (model == nullptr) return ApiError::model_not_found(request.model);
  return ApiError::invalid("The model '" + request.model + "' does not give embeddings.", "model");
}

Task<void> EmbeddingsEndpoint::answer(EmbeddingsRequest request, TokenUsage most, HttpExchange& exchange,
                                      Caller& caller, RequestRecord& record) {
  const auto begin = std::chrono::steady_clock::now();
  Job job{std::move(request)};
  record.model = name_;
  record.known_model = true;
  record.upstream = "embedder";
  job.error = caller.reserve(most, kFree);
  exchange.watch([&job] { job.gone = true; });
  if (!job.over()) co_await tokenize(job);
  if (!job.over()) co_await embed(job);
  exchange.stop_watching();
  if (job.gone) {
    record.status = 499;
  } else if (job.error) {
    co_await refuse(exchange, record, *job.error);
  } else {
    record.prompt_tokens = job.tokens;
    HttpResponse response;
    response.body = job.answer(name_);
    co_await respond(exchange, record, std::move(response));
  }
  settle(caller, record, {job.tokens, 0, 0}, kFree);
  record.total = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
}

// Texts and ids to the tokens that the model reads; all of them before any is embedded, so that an input that is too
// long costs nothing else.
Task<void> EmbeddingsEndpoint::tokenize(Job& job) {
  const auto turn = [&job](embed::Embedder& embedder) {
    job.dimension = embedder.dimension();
    if (job.request.dimensions.value_or(job.dimension) != job.dimension) {
      job.error = ApiError::invalid("This model's embeddings have " + std::to_string(job.dimension) +
                                        " dimensions, no other number can be chosen.",
                                    "dimensions");
    }
    std::size_t bytes = 0;
    while (!job.error && job.inputs.size() < job.request.inputs.size() && bytes < kTextBytesPerTurn) {
      const auto& input = job.request.inputs[job.inputs.size()];
      const auto* text = std::get_if<std::string>(&input);
      const auto* ids = std::get_if<EmbeddingsRequest::Tokens>(&input);
      const std::string place = element_name("input", job.inputs.size());
      Tokens tokens = text != nullptr ? embedder.tokenize(*text) : embedder.complete(*ids);
      bytes += text != nullptr ? text->size() : ids->size() * sizeof(std::int32_t);
      if (tokens.empty()) {
        job.error =
            ApiError::invalid("Invalid '" + place + "': it names a token that the model does not have.", "input");
      } else if (static_cast<int>(tokens.size()) > embedder.max_tokens()) {
        job.error = ApiError::invalid("This model's maximum input length is " + std::to_string(embedder.max_tokens()) +
                                          " tokens, but '" + place + "' is longer. Please shorten it.",
                                      "input", "context_length_exceeded");
      }
      job.tokens += static_cast<int>(tokens.size());
      job.inputs.push_back(std::move(tokens));
    }
  };
  while (!job.over() && job.inputs.size() < job.request.inputs.size()) {
    const bool ran = co_await embedder_->run(turn);
    if (!ran) job.overloaded();
  }
}

Task<void> EmbeddingsEndpoint::embed(Job& job) {
  job.vectors.reserve(job.inputs.size() * static_cast<std::size_t>(job.dimension));
  std::size_t begin = 0;
  const auto turn = [&job, &begin](embed::Embedder& embedder) {
    std::size_t end = begin;
    std::size_t tokens = 0;
    while (end < job.inputs.size() && (end == begin || tokens + job.inputs[end].size() <= kTokensPerTurn)) {
      tokens += job.inputs[end++].size();
    }
    const auto rows = embedder.embed_tokens(std::span(job.inputs).subspan(begin, end - begin));
    job.vectors.insert(job.vectors.end(), rows.begin(), rows.end());
    begin = end;
  };
  while (!job.over() && begin < job.inputs.size()) {
    const bool ran = co_await embedder_->run(turn);
    if (!ran) job.overloaded();
  }
}

}  // namespace kvasir::gateway
