#include "gateway/completion_writer.hpp"

#include "gateway/json_text.hpp"
#include "gateway/legacy_logprobs.hpp"

namespace kvasir::gateway {

void CompletionWriter::head(std::string& out, std::string_view model) const {
  out.append(R"({"id":")").append(delivery_.id).append(R"(","object":"text_completion","created":)");
  append_number(out, delivery_.created);
  out += R"(,"model":)";
  append_json_string(out, model);
  out += R"(,"choices":[)";
}

void CompletionWriter::choice(std::string& out, std::size_t index, std::string_view text, std::string_view logprobs,
                              std::string_view finish_reason) {
  if (offsets_.size() <= index) offsets_.resize(index + 1);
  out += R"({"text":)";
  append_json_string(out, text);
  out += R"(,"index":)";
  append_number(out, index);
  out += R"(,"logprobs":)";
  if (request_->logprobs && (!logprobs.empty() || !request_->stream)) {
    append_legacy_logprobs(out, logprobs, offsets_[index]);
  } else {
    out += "null";
  }
  out += R"(,"finish_reason":)";
  append_string_or_null(out, finish_reason);
  out += '}';
}

void CompletionWriter::tail(std::string& out, const ShownAnswer& shown) const {
  out += "],";
  append_usage(out, *shown.answer, shown.engine);
  append_fingerprint(out, shown.answer->system_fingerprint);
  out += shown.cached ? R"(,"cached":true)" : R"(,"cached":false)";
  if (shown.engine != nullptr) {
    out += ',';
    append_kvasir(out, *shown.engine);
  }
  out += '}';
}

void CompletionWriter::body(std::string& out, const ShownAnswer& shown) {
  head(out, shown.answer->model);
  for (std::size_t i = 0; i < shown.answer->choices.size(); ++i) {
    const cache::AnswerChoice& done = shown.answer->choices[i];
    if (i > 0) out += ',';
    choice(out, i, done.content, logprob_items(done.logprobs), done.finish_reason);
  }
  tail(out, shown);
}

void CompletionWriter::chunk(std::string& out, std::string_view model, std::size_t index, std::string_view text,
                             std::string_view logprobs, std::string_view finish_reason,
                             const engine::GenerateSummary* engine) {
  out += "data: ";
  head(out, model);
  choice(out, index, text, logprobs, finish_reason);
  out += ']';
  if (request_->include_usage) out += R"(,"usage":null)";
  out += cached_ ? R"(,"cached":true)" : R"(,"cached":false)";
  if (engine != nullptr) {
    out += ',';
    append_kvasir(out, *engine);
  }
  out += "}\n\n";
}

void CompletionWriter::delta(std::string& out, const FlightDelta& delta) {
  begun_ = true;
  if (delta.content.empty() && delta.logprobs.empty()) return;
  chunk(out, request_->model, static_cast<std::size_t>(delta.index), delta.content, delta.logprobs, "", nullptr);
}

void CompletionWriter::end(std::string& out, const ShownAnswer& shown) {
  const cache::Answer& answer = *shown.answer;
  cached_ = shown.cached;
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const cache::AnswerChoice& done = answer.choices[i];
    if (!begun_) chunk(out, answer.model, i, done.content, logprob_items(done.logprobs), "", nullptr);
    chunk(out, answer.model, i, "", "", done.finish_reason, shown.engine);
  }
  if (request_->include_usage) {
    out += "data: ";
    head(out, answer.model);
    tail(out, shown);
    out += "\n\n";
  }
  out += kStreamEnd;
}

}  // namespace kvasir::gateway
