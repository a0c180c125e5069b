#include "engine/text_stream.hpp"

#include <algorithm>

namespace kvasir::engine {

TextStream::Delta TextStream::push(const SampledToken& sampled) {
  held_ += detokenizer_.push(sampled.token);
  if (wants_logprobs_) {
    TokenLogprob& entry = held_logprobs_.emplace_back(held_.size(), TokenLogprob{}).second;
    entry.bytes = tokenizer_.bytes(sampled.token);
    entry.logprob = sampled.logprob;
    for (const auto& [token, logprob] : sampled.top) {
      const std::string_view bytes = tokenizer_.is_control(token) ? tokenizer_.piece(token) : tokenizer_.bytes(token);
      entry.top.emplace_back(std::string(bytes), logprob);
    }
  }
  if (cut_at_stop()) return release(held_.size());
  return release(safe_bytes());
}

TextStream::Delta TextStream::finish() {
  if (stopped_) return {};
  held_ += detokenizer_.finish();
  cut_at_stop();
  return release(held_.size());
}

bool TextStream::cut_at_stop() {
  std::size_t first = std::string::npos;
  for (const std::string& stop : stop_) first = std::min(first, held_.find(stop));
  if (first == std::string::npos) return false;
  held_.resize(first);
  std::erase_if(held_logprobs_, [first](const auto& entry) { return entry.first > first; });
  stopped_ = true;
  return true;
}

// Bytes before the longest suffix that could grow into a stop string.
std::size_t TextStream::safe_bytes() const {
  std::size_t keep = 0;
  for (const std::string& stop : stop_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) {
        keep = n;
        break;
      }
  }
  return held_.size() - keep;
}

TextStream::Delta TextStream::release(std::size_t bytes) {
  // A cut inside a character would be a split: stop strings are whole characters, so this only moves back for text that
  // begins like one.
  while (bytes > 0 && bytes < held_.size() && (static_cast<unsigned char>(held_[bytes]) & 0xC0U) == 0x80U) --bytes;
  Delta delta;
  delta.text = held_.substr(0, bytes);
  held_.erase(0, bytes);
  // A token's logprob goes out with the last of its text.
  const auto later = std::find_if(held_logprobs_.begin(), held_logprobs_.end(),
                                  [bytes](const auto& entry) { return entry.first > bytes; });
  for (auto entry = held_logprobs_.begin(); entry != later; ++entry) delta.logprobs.push_back(std::move(entry->second));
  held_logprobs_.erase(held_logprobs_.begin(), later);
  for (auto& [end, entry] : held_logprobs_) end -= bytes;
  return delta;
}

}  // namespace kvasir::engine
