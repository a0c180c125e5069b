#include "engine/draft_model.hpp"

#include "engine/model_metadata.hpp"

#include <algorithm>
#include <chrono>

namespace kvasir::engine {
namespace {

constexpr auto kKvType = kernels::KvType::f16;
constexpr double kNew = 0.15;         // weight of a new observation
constexpr double kMargin = 1.05;      // the least that guessing must promise
constexpr int kLongestPause = 256;    // steps
constexpr std::size_t kCatchUp = 64;  // tokens read in one step when the draft is behind

bool same_tokens(const Tokenizer& a, const Tokenizer& b) {
  if (a.size() != b.size()) return false;
  for (TokenId token = 0; token < a.size(); ++token)
    if (a.bytes(token) != b.bytes(token) || a.piece(token) != b.piece(token)) return false;
  return true;
}

}  // namespace

std::uint64_t DraftSource::bytes_per_block() const {
  return KvStorage::bytes_per_block(kKvType, shape.layers, shape.attention);
}

Result<DraftSource> open_draft(const std::string& path) {
  auto file = ModelFile::open(path);
  if (!file) return file.error();
  auto shape = read_shape(*file);
  if (!shape) return shape.error();
  return DraftSource{std::make_shared<const ModelFile>(std::move(*file)), *shape};
}

Result<DraftFiles> load_draft(const DraftSource& source, const Tokenizer& vocabulary, int context, int blocks) {
  const auto& file = source.file;
  ModelShape shape = source.shape;
  const auto tokenizer = Tokenizer::from(*file);
  if (!tokenizer) return tokenizer.error();
  if (!same_tokens(**tokenizer, vocabulary))
    return bad_model(*file, "a draft model must have the tokens of the model it guesses for");
  shape.context = std::min(shape.context, context);
  auto storage = KvStorage::reserve(kKvType, shape.layers, shape.attention, blocks);
  if (!storage) return storage.error();
  auto model = Model::load(file, shape);
  if (!model) return model.error();
  if (vocabulary.size() > (*model)->shape().vocabulary)
    return bad_model(*file, "the tokenizer has more tokens than the model");
  return DraftFiles{std::move(*model), std::move(*storage), blocks};
}

DraftModel::DraftModel(DraftFiles files, int vocabulary, const StepCosts* target, kernels::ThreadPool& threads,
                       const kernels::Kernels& kernels)
    : files_(std::move(files)),
      vocabulary_(vocabulary),
      target_(target),
      pool_(files_.blocks),
      runner_(*files_.model, files_.storage, threads, kernels) {}

std::span<const float> DraftModel::run(Place& place, std::span<const TokenId> tokens) {
  const std::size_t end = place.tokens.size() + tokens.size();
  while (place.blocks.size() * kernels::kKvBlock < end) {
    Block block = pool_.take();
    if (!block) return {};
    place.table.push_back({block.id(), 0});
    place.blocks.push_back(std::move(block));
  }
  const Segment segment{tokens, static_cast<int>(place.tokens.size()), place.table, 1};
  const auto started = std::chrono::steady_clock::now();
  const auto logits = runner_.run({&segment, 1});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  if (tokens.size() <= 4) costs_.measured(static_cast<int>(tokens.size()), took.count());  // not what catches up
  place.tokens.insert(place.tokens.end(), tokens.begin(), tokens.end());
  return logits.first(static_cast<std::size_t>(vocabulary_));
}

int DraftModel::worthwhile(double chance, int most) const {
  if (target_ == nullptr) return most;
  double right = 1;
  double tokens = batch_;
  double best_rate = kMargin * tokens / target_->seconds(batch_);
  int best = 0;
  for (int length = 1; length <= most; ++length) {
    tokens += right *= chance;
    const double rate = tokens / (target_->seconds(batch_ + length) + length * costs_.seconds(1));
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = length;
  }
  return best;
}

Guess DraftSpeculator::guess(std::span<const TokenId> tokens, int most) {
  learn(tokens);
  Guess guess;
  guess.kind = GuessKind::draft;
  const int room = model_.context() - static_cast<int>(tokens.size());
  const int wanted = length(std::min(most, room));
  if (wanted <= 0) return guess;
  auto behind = tokens.subspan(place_.tokens.size());
  if (behind.size() > kCatchUp) {
    model_.run(place_, behind.first(kCatchUp));
    return guess;
  }
  for (std::span<const float> logits = model_.run(place_, behind); !logits.empty();) {
    const auto generated = std::span(place_.tokens).subspan(prompt_tokens_);
    guess.tokens.push_back(sampler_.sample(logits, {}, generated, nullptr).token);
    if (static_cast<int>(guess.tokens.size()) == wanted) break;
    logits = model_.run(place_, std::span(guess.tokens).last(1));
  }
  guessed_ = guess.tokens;
  guessed_from_ = tokens.size();
  return guess;
}

void DraftSpeculator::learn(std::span<const TokenId> tokens) {
  const auto came = tokens.subspan(std::min(guessed_from_, tokens.size()));
  const auto compared = static_cast<std::ptrdiff_t>(std::min(came.size(), guessed_.size()));
  const auto right = std::mismatch(came.begin(), came.begin() + compared, guessed_.begin()).first - came.begin();
  for (std::ptrdiff_t i = 0; i < right; ++i) chance_ += kNew * (1 - chance_);
  if (right < compared) chance_ -= kNew * chance_;
  // What was guessed wrong is no longer behind us: its KV will be written again.
  const std::size_t kept = guessed_.empty() ? place_.tokens.size() : guessed_from_ + static_cast<std::size_t>(right);
  // The last token is read again for its logits.
  place_.tokens.resize(std::min({place_.tokens.size(), kept, tokens.size() - 1}));
  guessed_.clear();
}

int DraftSpeculator::length(int most) {
  if (pause_ > 0) {
    --pause_;
    return 0;
  }
  const int worthwhile = model_.worthwhile(chance_, most);
  if (worthwhile > 0) {
    next_pause_ = 16;
    return worthwhile;
  }
  // One guess, then a pause.
  pause_ = next_pause_;
  next_pause_ = std::min(2 * next_pause_, kLongestPause);
  return std::min(most, 1);
}

}  // namespace kvasir::engine
