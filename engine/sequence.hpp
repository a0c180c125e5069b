// A request on its way through the engine.
#pragma once

#include "engine/block_pool.hpp"
#include "engine/engine.hpp"
#include "engine/lora.hpp"
#include "engine/prefix_tree.hpp"
#include "engine/sampler.hpp"
#include "engine/speculation.hpp"
#include "engine/text_stream.hpp"
#include "engine/token_masks.hpp"
#include "engine/tool_calls.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kvasir::engine {

// A beginning of a prompt that is to be kept once it is computed.
struct PinMark {
  int tokens = 0;  // whole blocks
  std::chrono::seconds ttl{0};
  std::string label{};  // not empty: what else is pinned under this label goes
};

struct Sequence {
  using Clock = std::chrono::steady_clock;

  Engine::RequestId id = 0;
  std::shared_ptr<GenerateListener> listener;
  std::vector<TokenId> tokens;  // the prompt, then what was generated
  int prompt_tokens = 0;
  int max_tokens = 0;           // to generate; at least 1
  int window = 0;               // tokens that its KV slides over, whole blocks; 0: it holds all
  std::string tenant;           // takes turns with others
  std::string cache_namespace;  // of the tenant and the adapters
  std::vector<LoraUse> lora;
  int priority = 0;           // higher first
  bool record = true;         // put its KV into the tree, and read it from there
  std::vector<PinMark> pins;  // by tokens
  RecordedPrompts keep;       // to be pinned at admission
  Truncation truncated;
  std::vector<DocumentMark> documents;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<TextStream> text;
  std::string echo;                             // of the prompt, to be said before the first token
  std::optional<ToolCallReader> calls;          // nothing: the answer is text
  std::shared_ptr<TokenConstraint> constraint;  // null: any token may come
  std::optional<TokenMatcher> matcher;          // made by the engine's thread, to which the masks belong
  std::unique_ptr<Speculation> speculation;     // null: nothing is guessed

  int computed = 0;  // tokens whose KV is, or was, in `blocks`
  int dropped = 0;   // tokens that the window slid past, behind the first block
  int recorded = 0;  // blocks that the tree knows
  int reused = 0;    // prompt tokens found in the tree or on disk at the first admission
  int loading = 0;   // number of the load that fills blocks behind `computed`; 0: none
  bool admitted_before = false;
  bool started = false;  // the listener knows
  std::vector<Block> blocks;
  std::vector<kernels::BlockRef> table;  // the same blocks, as attention reads them

  Clock::time_point submitted;
  Clock::time_point admitted;
  Clock::time_point prefilled;
  Clock::duration masking{};
  Clock::duration worst_masking{};

  int size() const { return static_cast<int>(tokens.size()); }
  int generated() const { return size() - prompt_tokens; }
  std::span<const TokenId> prompt() const { return std::span(tokens).first(static_cast<std::size_t>(prompt_tokens)); }
  std::span<const TokenId> output() const { return std::span(tokens).subspan(static_cast<std::size_t>(prompt_tokens)); }
  // Of the next token in the KV.
  int position() const { return computed - dropped; }
  // Positions that `count` tokens from the first on take.
  int span_of(int count) const { return window == 0 ? count : std::min(count, window); }
  // Decoding: everything but the token sampled last is in the KV.
  bool decoding() const { return computed == size() - 1 && generated() > 0; }

  void hold(Block block) {
    table.push_back({block.id(), 0});
    blocks.push_back(std::move(block));
  }
  void release_last() {
    blocks.pop_back();
    table.pop_back();
  }
  // Forgets the tokens of the second block: those behind it move up. The first holds the attention sinks.
  void slide() {
    blocks.erase(blocks.begin() + 1);
    table.erase(table.begin() + 1);
    for (std::size_t i = 1; i < table.size(); ++i) table[i].shift -= kernels::kKvBlock;
    dropped += kernels::kKvBlock;
  }
  void drop_blocks() {
    blocks.clear();
    table.clear();
    computed = 0;
    dropped = 0;
    loading = 0;
    recorded = 0;
  }
};

}  // namespace kvasir::engine
