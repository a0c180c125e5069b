#include "engine/llm_engine.hpp"

#include "rag/sha256.hpp"

#include <algorithm>
#include <cmath>

namespace kvasir::engine {
namespace {

// How long a prompt that a request named is kept after its last use.
constexpr std::chrono::seconds kNamedPromptLife = std::chrono::minutes(5);
// How long the end of the engine may take to write KV to disk.
constexpr std::chrono::seconds kLeaveWithin{5};

std::chrono::microseconds between(Sequence::Clock::time_point from, Sequence::Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from);
}

int thread_count(int wanted) {
  return wanted > 0 ? wanted : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

// How much dearer a token is per token before it: attention's multiply-adds over those of the weights.
double depth_cost(const ModelShape& shape) {
  const double attention = 2.0 * shape.query_width();
  const double weights = static_cast<double>(shape.hidden) * (2.0 * shape.query_width() + 2.0 * shape.kv_width()) +
                         3.0 * shape.hidden * shape.feed_forward;
  return attention / weights;
}

}  // namespace

LlmEngine::LlmEngine(const EngineSettings& settings, LoadedFiles files, KvStorage storage, int blocks)
    : settings_(settings),
      files_(std::move(files)),
      kernels_(kernels::best()),
      storage_(std::move(storage)),
      pool_(blocks),
      tree_(pool_, make_eviction_policy(settings.kv_eviction, depth_cost(files_.model->shape()))),
      threads_(thread_count(settings.threads)),
      draft_(files_.draft
                 ? std::make_unique<DraftModel>(std::move(*files_.draft), files_.tokenizer->size(),
                                                settings.speculation.adapt ? &costs_ : nullptr, threads_, kernels_)
                 : nullptr),
      share_(settings.prefill_slowdown),
      scheduler_(pool_, tree_, storage_, {settings.max_sequences, settings.step_tokens}),
      runner_(*files_.model, storage_, threads_, kernels_),
      context_(std::min(files_.model->shape().context, blocks * kernels::kKvBlock)),
      reader_(*files_.tokenizer, *files_.chat, *files_.constraints, files_.lora, context_, settings.speculation,
              draft_.get(), kernels_) {
  warm_up();
  if (files_.disk) open_tier();
  publish();
  thread_ = std::thread([this] { work(); });
  intake_ = std::make_unique<Intake>(
      reader_, static_cast<std::size_t>(settings.max_queue + settings.max_sequences),
      [this](std::unique_ptr<Sequence> sequence) {
        auto held = std::make_shared<std::unique_ptr<Sequence>>(std::move(sequence));
        post([this, held] { accept(std::move(*held)); });
      },
      [this](std::shared_ptr<GenerateListener> listener, Error error) {
        post([listener = std::move(listener), error = std::move(error)] { listener->failed(error); });
      });
}

// Reads all weights once, so that the first request does not pay for their page faults; then takes a first measurement.
void LlmEngine::warm_up() {
  const Block block = pool_.take();
  const TokenId token = 0;
  const kernels::BlockRef ref{block.id(), 0};
  const Segment segment{{&token, 1}, 0, {&ref, 1}, 1};
  runner_.run({&segment, 1});
  const auto started = Sequence::Clock::now();
  runner_.run({&segment, 1});
  costs_.measured(1, std::chrono::duration<double>(Sequence::Clock::now() - started).count());
}

std::string LlmEngine::fingerprint() {
  constexpr int kTokens = kernels::kKvBlock;
  constexpr int kFar = 512;  // behind what attention sums in one go
  std::vector<TokenId> tokens;
  for (int i = 0; i < kTokens; ++i) tokens.push_back(i % files_.tokenizer->size());
  const Block first = pool_.take();
  const Block far = pool_.take();
  std::vector<kernels::BlockRef> table(kFar / kTokens, {first.id(), 0});
  table.push_back({far.id(), 0});
  rag::Sha256 hash;
  hash.add(&files_.weights_hash, sizeof(files_.weights_hash));
  hash.add(&settings_.kv_type, sizeof(settings_.kv_type));
  const auto add = [&](const std::string& adapter, std::span<const LoraUse> lora) {
    hash.add(adapter.c_str(), adapter.size() + 1);
    for (const int position : {0, kFar}) {
      if (position + kTokens > context_) break;
      const Segment segment{tokens, position, table, 1, lora};
      const std::span<const float> logits = runner_.run({&segment, 1});
      const std::span<const std::byte> values = storage_.block((position == 0 ? first : far).id());
      hash.add(values.data(), values.size());
      hash.add(logits.data(), logits.size_bytes());
    }
  };
  add("", {});
  for (const LoraSettings& adapter : settings_.lora) {
    const LoraRequest wanted{adapter.name, 1};
    if (const auto lora = files_.lora.resolve({&wanted, 1})) add(adapter.name, *lora);
  }
  const rag::Sha256::Digest digest = hash.finish();
  return {digest.begin(), digest.end()};
}

void LlmEngine::open_tier() {
  tier_ = std::make_unique<KvTier>(std::move(*files_.disk), storage_, fingerprint());
  tree_.on_evict([this](const CachedRun& run) { tier_->save(run); });
  scheduler_.load_with([this](int number, const Sequence& sequence, int first, std::vector<BlockId> into,
                              std::shared_ptr<KvLoad> state) {
    KvTier::Wanted wanted{
        sequence.cache_namespace, sequence.tokens, first, std::move(into), {}, 0, std::move(state), {}};
    for (const DocumentMark& mark : sequence.documents)
      wanted.documents.emplace_back(mark.token / kernels::kKvBlock, mark.key);
    if (prefilled_ > 0) wanted.seconds_to_compute = kernels::kKvBlock * prefilling_seconds_ / prefilled_;
    wanted.done = [this, number](int blocks, std::vector<std::pair<int, std::string>> documents) {
      post([this, number, blocks, documents = std::move(documents)] {
        scheduler_.loaded(number, blocks, documents);
        publish();
      });
    };
    tier_->load(std::move(wanted));
  });
}

LlmEngine::~LlmEngine() {
  intake_->stop();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Engine::RequestId LlmEngine::submit(GenerateRequest request, std::shared_ptr<GenerateListener> listener) {
  const RequestId id = next_id_.fetch_add(1);
  Submission submission{id, std::move(request), std::move(listener), Sequence::Clock::now()};
  if (!intake_->submit(submission)) {
    post([this, refused = std::move(submission.listener)] {
      refused->failed({ErrorCode::overloaded, "The engine's queue is full; try again later.", "", retry_after()});
    });
  }
  return id;
}

void LlmEngine::cancel(RequestId id) {
  intake_->cancel(id);
  post([this, id] { drop(id); });
}

std::uint64_t LlmEngine::invalidate(const std::vector<std::string>& document_keys) {
  struct Removed {
    std::uint64_t blocks = 0;
    std::future<std::uint64_t> on_disk;
  };
  auto removed = std::make_shared<std::promise<Removed>>();
  auto result = removed->get_future();
  post([this, document_keys, removed] {
    scheduler_.forget(document_keys);
    Removed gone;
    // Before anybody is admitted who would read them.
    if (tier_) gone.on_disk = tier_->invalidate(document_keys);
    gone.blocks = tree_.invalidate(document_keys);
    removed->set_value(std::move(gone));
    publish();
  });
  Removed gone = result.get();
  return gone.blocks + (gone.on_disk.valid() ? gone.on_disk.get() : 0);
}

EngineStats LlmEngine::stats() const {
  EngineStats now;
  {
    const std::lock_guard lock(stats_mutex_);
    now = stats_;
  }
  if (!tier_) return now;
  const KvTierStats disk = tier_->stats();
  now.kv_disk_bytes = disk.bytes;
  now.kv_disk_written_blocks = disk.written;
  now.kv_disk_read_blocks = disk.read;
  now.kv_disk_lost_blocks = disk.lost;
  now.kv_disk_damaged_blocks = disk.damaged;
  return now;
}

void LlmEngine::post(Message message) {
  {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  wake_.notify_one();
}

void LlmEngine::read_messages(bool wait) {
  std::deque<Message> batch;
  {
    std::unique_lock lock(mutex_);
    if (wait) wake_.wait(lock, [this] { return stop_ || !messages_.empty(); });
    batch.swap(messages_);
  }
  for (const Message& message : batch) message();
}

void LlmEngine::work() {
  for (;;) {
    read_messages(scheduler_.running() + scheduler_.waiting() == 0 || scheduler_.only_loads());
    {
      const std::lock_guard lock(mutex_);
      if (stop_ && messages_.empty()) break;
    }
    step();
  }
  for (const RequestId id : scheduler_.ids())
    if (const auto sequence = scheduler_.remove(id))
      sequence->listener->failed({ErrorCode::shutting_down, "The engine is shutting down.", "", 0});
  if (!tier_) return;
  // What memory has is worth something to the next start.
  const auto deadline = std::chrono::steady_clock::now() + kLeaveWithin;
  tree_.visit([&](const CachedRun& run) {
    tier_->save_until(run, deadline);
    return std::chrono::steady_clock::now() < deadline;
  });
  tier_->drain(deadline);
}

int LlmEngine::retry_after() const {
  // When all that is here now will be done.
  return static_cast<int>(std::clamp(std::ceil(pace_.time_for(scheduler_.work_left(pace_)).count()), 1.0, 600.0));
}

void LlmEngine::accept(std::unique_ptr<Sequence> sequence) {
  // Free places count: those who wait will be admitted by the next step.
  const int places = settings_.max_queue + std::max(0, settings_.max_sequences - scheduler_.running());
  if (scheduler_.waiting() >= places) {
    sequence->listener->failed({ErrorCode::overloaded, "The engine is full; try again later.", "", retry_after()});
    return;
  }
  if (!keep(*sequence)) {
    sequence->listener->failed({ErrorCode::prompt_not_found, "The KV of this prompt is gone.", "", 0});
    return;
  }
  scheduler_.add(std::move(sequence));
}

bool LlmEngine::keep(const Sequence& sequence) {
  for (const auto& prompt : sequence.keep) {
    const std::span whole =
        std::span(prompt->tokens).first(prompt->tokens.size() / kernels::kKvBlock * kernels::kKvBlock);
    if (prompt->cache_namespace != sequence.cache_namespace) return false;
    if (tree_.resident(prompt->cache_namespace, whole).tokens < static_cast<int>(whole.size())) return false;
    tree_.pin(prompt->cache_namespace, whole, kNamedPromptLife);
  }
  return true;
}

void LlmEngine::drop(RequestId id) {
  if (scheduler_.remove(id) == nullptr) return;
  ++counters_.cancelled;
  publish();
}

void LlmEngine::step() {
  std::vector<StepPart> parts =
      scheduler_.plan(share_.tokens(costs_.seconds(scheduler_.decoding()), settings_.step_tokens));
  if (parts.empty()) return;
  const auto begun = Sequence::Clock::now();
  speculate(parts);
  std::vector<Segment> segments;
  int decoded = 0;  // rows
  int read = 0;
  for (const StepPart& part : parts) {
    segments.push_back(segment_of(part));
    (part.sequence->decoding() ? decoded : read) += part.tokens;
  }
  int tokens = 0;
  const auto started = Sequence::Clock::now();
  std::span<const float> logits = runner_.run(segments);
  const double took = std::chrono::duration<double>(Sequence::Clock::now() - started).count();
  if (read == 0) {
    costs_.measured(decoded, took);
  } else if (decoded > 0) {
    share_.measured(costs_.seconds(decoded), read, took);
  } else {
    prefilling_seconds_ = 0.8 * prefilling_seconds_ + took;
    prefilled_ = 0.8 * prefilled_ + read;
  }
  ++counters_.steps;
  const auto vocabulary = static_cast<std::size_t>(files_.model->shape().vocabulary);
  std::vector<std::pair<std::unique_ptr<Sequence>, std::optional<FinishReason>>> done;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto wanted = static_cast<std::size_t>(segments[i].logit_rows) * vocabulary;
    const Outcome outcome = verify(parts[i], logits.first(wanted));
    logits = logits.subspan(wanted);
    tokens += parts[i].tokens;
    scheduler_.computed(parts[i]);
    if (outcome.over) done.emplace_back(scheduler_.remove(parts[i].sequence->id), outcome.reason);
  }
  pace_.step(tokens, Sequence::Clock::now() - begun);
  // Whoever hears that an answer is complete finds its blocks free.
  publish();
  for (const auto& [sequence, reason] : done) {
    if (reason)
      finish(*sequence, *reason);
    else
      sequence->listener->failed({ErrorCode::bad_request,
                                  "This model's vocabulary cannot spell what the schema asks for.", "response_format",
                                  0});
  }
}

void LlmEngine::speculate(std::span<StepPart> parts) {
  std::vector<Speculation*> guessing;
  const auto decoding =
      static_cast<int>(std::ranges::count_if(parts, [](const StepPart& part) { return part.sequence->decoding(); }));
  // A step stays as short as one of prefill.
  int most = std::max(0, settings_.step_tokens - decoding);
  if (draft_) draft_->set_batch(decoding);
  for (const StepPart& part : parts) {
    Sequence& sequence = *part.sequence;
    if (!sequence.decoding() || !sequence.speculation) continue;
    // The last token needs no guess.
    sequence.speculation->guess(sequence.tokens, sequence.max_tokens - sequence.generated() - 1);
    cut_guesses(sequence);
    if (!sequence.speculation->guessed().empty()) guessing.push_back(sequence.speculation.get());
  }
  if (settings_.speculation.adapt) {
    choose_lengths(guessing, decoding, most, costs_);
  } else {
    for (Speculation* all : guessing) {
      all->verify(std::min(most, static_cast<int>(all->guessed().size())));
      most -= all->verified();
    }
  }
  for (StepPart& part : parts) {
    Sequence& sequence = *part.sequence;
    if (!sequence.decoding() || !sequence.speculation || sequence.speculation->verified() == 0) continue;
    sequence.speculation->verify(scheduler_.make_room(sequence, sequence.speculation->verified()));
    part.tokens = 1 + sequence.speculation->verified();
  }
}

void LlmEngine::cut_guesses(Sequence& sequence) const {
  std::optional<TokenMatcher> ahead = sequence.matcher;
  const auto may_follow = [&](TokenId token) {
    if (files_.tokenizer->ends_generation(token)) return false;
    if (!ahead) return true;
    const std::string_view bytes = files_.tokenizer->bytes(token);
    ahead->accept(bytes);
    return !bytes.empty() && ahead->alive();
  };
  const auto guessed = sequence.speculation->guessed();
  const auto end = std::find_if_not(guessed.begin(), guessed.end(), may_follow);
  sequence.speculation->cut(static_cast<std::size_t>(end - guessed.begin()));
}

Segment LlmEngine::segment_of(const StepPart& part) {
  Sequence& sequence = *part.sequence;
  if (sequence.decoding() && part.tokens > 1)
    return {sequence.speculation->segment(sequence.tokens.back()), sequence.position(), sequence.table, part.tokens,
            sequence.lora};
  const bool last = sequence.computed + part.tokens == sequence.size();
  return {std::span(sequence.tokens)
              .subspan(static_cast<std::size_t>(sequence.computed), static_cast<std::size_t>(part.tokens)),
          sequence.position(), sequence.table, last ? 1 : 0, sequence.lora};
}

LlmEngine::Outcome LlmEngine::verify(StepPart& part, std::span<const float> logits) {
  Sequence& sequence = *part.sequence;
  const auto vocabulary = static_cast<std::size_t>(files_.model->shape().vocabulary);
  const auto tokens = static_cast<std::size_t>(files_.tokenizer->size());  // rows beyond them only pad the matrix
  const auto rows = logits.size() / vocabulary;
  const auto before = sequence.tokens.size();
  const std::span<const TokenId> guesses =
      rows > 1 ? sequence.speculation->guessed().first(rows - 1) : std::span<const TokenId>();
  Outcome outcome;
  for (std::size_t row = 0; row < rows; ++row) {
    const TokenMask* mask = allowed(sequence);
    if (mask != nullptr && mask->empty()) {
      outcome.over = true;
      break;
    }
    outcome.reason = sample(sequence, logits.subspan(row * vocabulary, tokens), mask);
    outcome.over = outcome.reason.has_value();
    if (outcome.over || row == guesses.size() || sequence.tokens.back() != guesses[row]) break;
  }
  const auto sampled = std::span(sequence.tokens).subspan(before);
  if (rows > 1) part.tokens = static_cast<int>(sampled.size());
  if (rows > 0 && sequence.speculation) {
    const Speculation::Verdict verdict = sequence.speculation->observe(sampled);
    counters_.accepted_tokens += static_cast<std::uint64_t>(verdict.accepted);
    counters_.rejected_tokens += static_cast<std::uint64_t>(verdict.rejected);
  }
  return outcome;
}

std::optional<FinishReason> LlmEngine::sample(Sequence& sequence, std::span<const float> logits,
                                              const TokenMask* mask) {
  if (!sequence.started) {
    sequence.started = true;
    sequence.prefilled = Sequence::Clock::now();
    counters_.prompt_tokens += static_cast<std::uint64_t>(sequence.prompt_tokens);
    counters_.reused_tokens += static_cast<std::uint64_t>(sequence.reused);
    sequence.listener->started(sequence.prompt_tokens, sequence.reused);
    if (!sequence.echo.empty()) sequence.listener->delta(std::move(sequence.echo), {});
  }
  const SampledToken sampled = sequence.sampler->sample(logits, sequence.prompt(), sequence.output(), mask);
  ++counters_.generated_tokens;
  sequence.tokens.push_back(sampled.token);
  if (files_.tokenizer->ends_generation(sampled.token)) return FinishReason::stop;
  if (sequence.matcher) sequence.matcher->accept(files_.tokenizer->bytes(sampled.token));
  TextStream::Delta delta = sequence.text->push(sampled);
  tell(sequence, std::move(delta));
  if (sequence.text->stopped()) return FinishReason::stop;
  if (sequence.matcher && sequence.matcher->complete()) return FinishReason::stop;
  if (sequence.generated() >= sequence.max_tokens) return FinishReason::length;
  return std::nullopt;
}

void LlmEngine::tell(Sequence& sequence, TextStream::Delta delta) {
  if (delta.empty()) return;
  if (!sequence.calls) return sequence.listener->delta(std::move(delta.text), std::move(delta.logprobs));
  ToolCallReader::Piece piece = sequence.calls->push(delta.text);
  // Calls have no logprobs.
  if (sequence.calls->calls() > 0) delta.logprobs.clear();
  tell(sequence, std::move(piece), std::move(delta.logprobs));
}

void LlmEngine::tell(Sequence& sequence, ToolCallReader::Piece piece, std::vector<TokenLogprob> logprobs) {
  if (!piece.content.empty() || !logprobs.empty())
    sequence.listener->delta(std::move(piece.content), std::move(logprobs));
  for (const ToolCallDelta& call : piece.calls) sequence.listener->tool_call(call);
}

const TokenMask* LlmEngine::allowed(Sequence& sequence) const {
  if (!sequence.constraint) return nullptr;
  const auto started = Sequence::Clock::now();
  if (!sequence.matcher) sequence.matcher.emplace(sequence.constraint);
  const TokenMask& mask = sequence.matcher->allowed();
  const auto took = Sequence::Clock::now() - started;
  sequence.masking += took;
  sequence.worst_masking = std::max(sequence.worst_masking, took);
  return &mask;
}

void LlmEngine::finish(Sequence& sequence, FinishReason reason) {
  tell(sequence, sequence.text->finish());
  if (sequence.calls) tell(sequence, sequence.calls->finish(), {});
  const auto now = Sequence::Clock::now();
  GenerateSummary summary;
  summary.finish = sequence.text->stopped() ? FinishReason::stop : reason;
  const bool called = sequence.calls && sequence.calls->calls() > 0 && !sequence.calls->forced();
  if (called && summary.finish == FinishReason::stop) summary.finish = FinishReason::tool_calls;
  summary.prompt_tokens = sequence.prompt_tokens;
  summary.reused_tokens = sequence.reused;
  summary.computed_tokens = sequence.prompt_tokens - sequence.reused;
  summary.completion_tokens = sequence.generated();
  if (sequence.speculation) {
    summary.accepted_tokens = sequence.speculation->total().accepted;
    summary.rejected_tokens = sequence.speculation->total().rejected;
  }
  summary.truncated = sequence.truncated;
  if (sequence.record) {
    const auto prompt = sequence.prompt();
    summary.prompt =
        std::make_shared<RecordedPrompt>(RecordedPrompt{sequence.cache_namespace, {prompt.begin(), prompt.end()}});
  }
  summary.queued = between(sequence.submitted, sequence.admitted);
  summary.prefill = between(sequence.admitted, sequence.prefilled);
  summary.decode = between(sequence.prefilled, now);
  summary.masking = std::chrono::duration_cast<std::chrono::microseconds>(sequence.masking);
  summary.worst_masking = std::chrono::duration_cast<std::chrono::microseconds>(sequence.worst_masking);
  pace_.answered(summary.completion_tokens);
  sequence.listener->finished(summary);
}

void LlmEngine::publish() {
  EngineStats now = counters_;
  now.kv_blocks_total = static_cast<std::uint64_t>(pool_.total());
  now.kv_blocks_cached = static_cast<std::uint64_t>(tree_.idle());
  now.kv_blocks_pinned = static_cast<std::uint64_t>(tree_.pinned_blocks());
  now.kv_blocks_used = static_cast<std::uint64_t>(pool_.total() - pool_.free()) - now.kv_blocks_cached;
  now.running = scheduler_.running();
  now.waiting = scheduler_.waiting();
  now.evicted_blocks = scheduler_.evicted_blocks();
  now.preemptions = scheduler_.preemptions();
  now.kernels = kernels_.name;
  const std::lock_guard lock(stats_mutex_);
  stats_ = std::move(now);
}

}  // namespace kvasir::engine
