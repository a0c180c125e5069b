// OpenAI's answers as text: the plain completion and the chunks of a stream.
#pragma once

#include "cache/response_cache.hpp"
#include "engine/engine.hpp"
#include "gateway/in_flight.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

inline constexpr std::string_view kEngineFingerprint = "fp_kvasir";

// What differs from one delivery of an answer to the next.
struct Delivery {
  std::string id;  // "chatcmpl-…"
  std::int64_t created = 0;
  bool cached = false;
  const engine::GenerateSummary* engine = nullptr;  // of an answer computed in this process, else null
  bool logprobs = true;                             // false: the answer's are left out, nobody asked for them
};

Delivery new_delivery(bool cached, std::string_view id_prefix = "chatcmpl-");

// Calls by choice; empty: nobody calls.
using CallsByChoice = std::span<const std::vector<ToolCallPiece>>;

// A chat.completion object.
void append_completion(std::string& out, const Delivery& delivery, const cache::Answer& answer,
                       CallsByChoice calls = {});

// A stream in OpenAI's order: role chunk, deltas, a finish chunk per choice, usage if asked for, [DONE].
// Appends whole SSE events.
class ChunkWriter {
 public:
  // `model` must outlive the writer.
  ChunkWriter(const Delivery& delivery, std::string_view model, std::string_view fingerprint, bool include_usage);

  void role(std::string& out, int index) const;
  // `logprobs`: items of logprobs.content, or empty.
  void delta(std::string& out, int index, std::string_view content, std::string_view logprobs) const;
  void reasoning(std::string& out, int index, const cache::AnswerChoice& choice) const;
  void refusal(std::string& out, int index, std::string_view refusal) const;
  void tool_calls(std::string& out, int index, std::span<const ToolCallPiece> pieces) const;
  // `engine`: adds the `kvasir` object.
  void finish(std::string& out, int index, std::string_view reason, const engine::GenerateSummary* engine) const;
  // Nothing if usage was not asked for.
  void usage(std::string& out, const cache::Answer& answer, const engine::GenerateSummary* engine) const;
  // A whole answer at once, up to and with the usage chunk.
  void replay(std::string& out, const cache::Answer& answer, const engine::GenerateSummary* engine,
              CallsByChoice calls = {}) const;

 private:
  void begin(std::string& out) const;
  void begin_choice(std::string& out, int index) const;
  void end_choice(std::string& out, std::string_view logprobs, std::string_view reason) const;
  void end(std::string& out) const;

  std::string head_;  // every chunk's beginning
  bool include_usage_;
  bool cached_;
  bool logprobs_;
};

inline constexpr std::string_view kStreamEnd = "data: [DONE]\n\n";

// Parts that all shapes of an answer share. `"usage":{…}`; `engine` tells what was reused.
void append_usage(std::string& out, const cache::Answer& answer, const engine::GenerateSummary* engine);
// `"kvasir":{…}`
void append_kvasir(std::string& out, const engine::GenerateSummary& summary);
// `,"system_fingerprint":…`
void append_fingerprint(std::string& out, std::string_view fingerprint);
// The items between the brackets of {"content":[…]}, as a delta wants them.
std::string_view logprob_items(std::string_view logprobs);

// One item of logprobs.content. Bytes that are not UTF-8 show as U+FFFD in `token` and exactly in `bytes`.
void append_logprob(std::string& out, const engine::TokenLogprob& logprob);

// `object`, a JSON object of an upstream, with "cached":false in front and without a "cached" of its own.
std::string with_cached_false(std::string_view object);

}  // namespace kvasir::gateway
