// The language model in this process: submit a chat, receive its tokens.
//
// One thread owns the scheduler, the radix tree and the block pool; everything here talks to it by messages and may be
// called from any thread. Listeners are called on that thread and must not block.
#pragma once

#include "engine/error.hpp"
#include "engine/eviction_policy.hpp"
#include "engine/tool_use.hpp"
#include "kernels/kernels.hpp"
#include "rag/prompt.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kvasir::engine {

// Tokens that are proposed cheaply and verified together; answers are the same without.
struct SpeculationSettings {
  static constexpr int kMostTokens = 64;
  bool prompt_lookup = true;  // propose what followed the last words earlier in prompt and answer
  int max_tokens = 8;         // proposed at once, unless the request says otherwise; 0: none
  bool adapt = true;          // verify guesses only where that pays; false: all of them, for tests

  bool operator==(const SpeculationSettings&) const = default;
};

// A LoRA adapter that requests may name.
struct LoraSettings {
  std::string name;
  std::string path;  // a GGUF file, or a folder that PEFT saved
  float scale = 1;

  bool operator==(const LoraSettings&) const = default;
};

struct EngineSettings {
  std::string gguf;           // path of the model file
  std::string chat_template;  // one of kChatTemplateNames; empty: the file's, or one that fits its vocabulary
  std::uint64_t kv_memory = 2ULL << 30;  // bytes for KV blocks
  kernels::KvType kv_type = kernels::KvType::f16;
  int max_sequences = 64;  // running at once
  int max_queue = 256;     // waiting for admission
  int max_context = 0;     // tokens; 0: what the model file says
  int step_tokens = 256;   // prefill tokens of one step
  // How many times as long as decoding alone a step may take that also reads prompts; 0: no limit.
  double prefill_slowdown = 2.5;
  int threads = 0;  // 0: one per core
  EvictionKind kv_eviction = EvictionKind::pgdsf;
  std::string kv_disk;                      // folder for KV blocks that leave memory; empty: none
  std::uint64_t kv_disk_size = 8ULL << 30;  // bytes it may have for this model
  SpeculationSettings speculation;
  std::vector<LoraSettings> lora;  // by unique names
  std::string draft;               // path of a small model with the same tokens, which guesses; or empty

  bool operator==(const EngineSettings&) const = default;
};

struct SamplingParams {
  float temperature = 1.0F;  // 0: greedy
  float top_p = 1.0F;
  int top_k = 0;                    // 0: off
  float min_p = 0.0F;               // of the best token's probability; 0: off
  float repetition_penalty = 1.0F;  // of what the prompt or the answer has; 1: off
  float frequency_penalty = 0.0F;
  float presence_penalty = 0.0F;
  std::optional<std::uint64_t> seed;
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // token id, added to its logit
  int top_logprobs = -1;                                   // -1: no logprobs; 0..20 alternatives
};

// A prompt without a chat template around it.
struct RawPrompt {
  std::string text;                  // UTF-8; control tokens written in it count as such
  std::vector<std::int32_t> tokens;  // not empty: ids of the model's vocabulary, instead of `text`
  bool echo = false;                 // the prompt's text comes first, as a delta of its own
};

// What the whole answer must be. The tokens that would break it are never sampled.
struct OutputFormat {
  enum class Kind { text, json_object, json_schema };
  Kind kind = Kind::text;
  std::string schema;  // of json_schema: JSON, in the caller's order of properties
};

// What is to be answered, and in which form.
struct GenerateInput {
  rag::Prompt prompt;
  std::optional<RawPrompt> raw;  // instead of `prompt`
  OutputFormat format;
  ToolUse tools;
  std::string prediction;  // the caller's guess at the answer, or empty
};

// A wish for an adapter, `scale` times as strong as it is set up.
struct LoraRequest {
  std::string name;
  float scale = 1;
};

// A place in the prompt up to which its KV is to be kept.
struct Breakpoint {
  enum class Of { message, document };
  Of of = Of::message;
  std::size_t index = 0;  // of the message or the document
  std::chrono::seconds ttl{0};
  std::optional<std::size_t> text_end;  // bytes of the message's text up to there; nothing: all that is rendered of it
};

// A prompt whose KV was recorded: what its answer's id stands for.
struct RecordedPrompt {
  std::string cache_namespace;  // of the tenant and the adapters
  std::vector<std::int32_t> tokens;
};
using RecordedPrompts = std::vector<std::shared_ptr<const RecordedPrompt>>;

// What becomes of a prompt that is too long for the context.
enum class ContextStrategy {
  error,     // it is refused
  truncate,  // its least important parts go
  sliding,   // attention sinks and a sliding window
};

// What truncation leaves in place, in tokens of the history: the texts of the turns before the last user message.
struct PriorityTokens {
  int recent = 0;                           // so many at its end
  std::vector<std::pair<int, int>> ranges;  // [first, last + 1), counted from its beginning
};

struct GenerateRequest {
  std::shared_ptr<const GenerateInput> input;  // never null; shared by the choices of a request
  int max_tokens = 0;                          // 0: as far as the context goes
  std::vector<std::string> stop;
  SamplingParams sampling;
  std::string cache_namespace;        // tenant salt: KV is shared inside a namespace only, and tenants take turns
  int priority = 0;                   // higher first
  bool prompt_cache = true;           // read and record prefixes
  std::vector<LoraRequest> lora;      // applied in this order; KV is shared among requests with the same
  std::optional<int> predict_tokens;  // instead of SpeculationSettings::max_tokens
  std::chrono::seconds pin{0};  // keep the prompt's KV so long after its last use, if there is room; 0: as any other
  std::vector<Breakpoint> breakpoints;  // the same for beginnings of the prompt
  std::string system_label;  // pins the prompt up to the end of the system prompt, until a request has another system
                             // prompt under this label; empty: no
  RecordedPrompts keep;      // to be pinned before this one is computed. Error: prompt_not_found
  ContextStrategy context_strategy = ContextStrategy::error;
  PriorityTokens priority_tokens;
};

struct TokenLogprob {
  std::string bytes;  // raw bytes of the token
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top;  // best first
};

// What did not fit into the context and was left out.
struct Truncation {
  int messages = 0;
  int documents = 0;

  bool any() const { return messages + documents > 0; }
};

enum class FinishReason { stop, length, tool_calls };

struct GenerateSummary {
  FinishReason finish = FinishReason::stop;
  int prompt_tokens = 0;
  int reused_tokens = 0;    // of the prompt, read from KV that was there
  int computed_tokens = 0;  // of the prompt, prefilled for this request
  int completion_tokens = 0;
  int accepted_tokens = 0;  // of the answer, that speculation proposed
  int rejected_tokens = 0;  // proposed and computed in vain
  std::chrono::microseconds queued{};
  std::chrono::microseconds prefill{};
  std::chrono::microseconds decode{};
  std::chrono::microseconds masking{};        // of decode: finding the tokens that the format allows
  std::chrono::microseconds worst_masking{};  // of one token
  Truncation truncated;
  std::shared_ptr<const RecordedPrompt> prompt;  // null: its KV was not recorded
};

// Calls come in this order: started, delta*, then exactly one of finished and failed. `failed` may come first.
class GenerateListener {
 public:
  virtual ~GenerateListener() = default;
  // The prompt is in the KV, the first token follows.
  virtual void started(int prompt_tokens, int reused_tokens) = 0;
  // New text (whole UTF-8 characters; may be empty when only logprobs came) and the logprobs of its tokens if asked
  // for.
  virtual void delta(std::string text, std::vector<TokenLogprob> logprobs) = 0;
  // A piece of a call, if the request has tools in play. The text of calls is no `delta`.
  virtual void tool_call(const ToolCallDelta& /*piece*/) {}
  virtual void finished(const GenerateSummary& summary) = 0;
  virtual void failed(const Error& error) = 0;
};

struct EngineStats {
  std::uint64_t kv_blocks_total = 0;
  std::uint64_t kv_blocks_used = 0;    // referenced by running sequences
  std::uint64_t kv_blocks_cached = 0;  // in the radix tree and not referenced by a running sequence
  std::uint64_t kv_blocks_pinned = 0;  // in the radix tree and protected from eviction
  int running = 0;
  int waiting = 0;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t reused_tokens = 0;
  std::uint64_t generated_tokens = 0;
  std::uint64_t accepted_tokens = 0;  // proposed by speculation
  std::uint64_t rejected_tokens = 0;
  std::uint64_t evicted_blocks = 0;
  std::uint64_t kv_disk_bytes = 0;
  std::uint64_t kv_disk_written_blocks = 0;
  std::uint64_t kv_disk_read_blocks = 0;
  std::uint64_t kv_disk_lost_blocks = 0;     // evicted faster than the disk takes them
  std::uint64_t kv_disk_damaged_blocks = 0;  // dropped: their file was not what it should be
  std::uint64_t preemptions = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t steps = 0;
  std::string kernels;  // instruction set in use
};

class Engine {
 public:
  // Loads and checks the model, reserves the KV memory, starts the engine thread.
  // Errors: bad_model_file, unsupported_model; one sentence.
  static Result<std::unique_ptr<Engine>> load(const EngineSettings& settings);
  // Running requests fail with shutting_down; checks that no block leaked.
  virtual ~Engine() = default;

  using RequestId = std::uint64_t;
  // Never blocks. A refused request gets its `failed` call like any other, from the engine's thread.
  virtual RequestId submit(GenerateRequest request, std::shared_ptr<GenerateListener> listener) = 0;
  // The listener is not called any more after the engine has seen this (one step at most); its blocks are free then.
  virtual void cancel(RequestId id) = 0;
  // Removes the KV of these documents (by rag::Document::key()) and of what follows them. Returns the blocks removed.
  // Waits for the step in progress; not to be called by a listener.
  virtual std::uint64_t invalidate(const std::vector<std::string>& document_keys) = 0;
  virtual EngineStats stats() const = 0;
  virtual int context_length() const = 0;
  // The name of the chat template in use; empty: it is the file's own.
  virtual std::string chat_template() const = 0;
  // Names of the LoRA adapters.
  virtual std::vector<std::string> adapters() const = 0;
};

}  // namespace kvasir::engine
