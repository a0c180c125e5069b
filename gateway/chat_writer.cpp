#include "gateway/chat_writer.hpp"

namespace kvasir::gateway {

void ChatWriter::body(std::string& out, const ShownAnswer& shown) {
  if (!shown.raw_body.empty()) {
    out += with_cached_false(shown.raw_body);
    return;
  }
  delivery_.cached = shown.cached;
  delivery_.engine = shown.engine;
  append_completion(out, delivery_, *shown.answer, shown.tool_calls);
}

void ChatWriter::role(std::string& out, int index) {
  const auto choice = static_cast<std::size_t>(index);
  if (begun_.size() <= choice) begun_.resize(choice + 1);
  if (begun_[choice]) return;
  begun_[choice] = true;
  chunks_->role(out, index);
}

void ChatWriter::delta(std::string& out, const FlightDelta& delta) {
  if (!delta.raw.empty()) {
    raw_ = true;
    if (delta.usage_only && !request_->include_usage) return;
    out.append("data: ").append(with_cached_false(delta.raw)).append("\n\n");
    return;
  }
  if (!chunks_) chunks_.emplace(delivery_, request_->model, kEngineFingerprint, request_->include_usage);
  role(out, delta.index);
  chunks_->delta(out, delta.index, delta.content, delta.logprobs);
  chunks_->tool_calls(out, delta.index, delta.tool_calls);
}

void ChatWriter::end(std::string& out, const ShownAnswer& shown) {
  const cache::Answer& answer = *shown.answer;
  if (!raw_ && !chunks_) {
    delivery_.cached = shown.cached;
    const ChunkWriter whole(delivery_, answer.model, answer.system_fingerprint, request_->include_usage);
    whole.replay(out, answer, shown.engine, shown.tool_calls);
  } else if (!raw_) {
    for (std::size_t i = 0; i < answer.choices.size(); ++i) {
      role(out, static_cast<int>(i));
      chunks_->finish(out, static_cast<int>(i), answer.choices[i].finish_reason, shown.engine);
    }
    chunks_->usage(out, answer, shown.engine);
  }
  out += kStreamEnd;
}

}  // namespace kvasir::gateway
