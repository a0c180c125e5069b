#include "embed/e5_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::embed {
namespace {

using kernels::WeightType;

constexpr std::int32_t kLargest = 1 << 20;  // of any count: products of two stay far inside 64 bits
constexpr std::uint32_t kLastCharacter = 0x10FFFF;

// Reads on from a place; past the end it gives zeros and remembers that.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  template <typename T>
  T read() {
    T value{};
    const auto bytes = take(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  template <typename T>
  std::vector<T> read_all(std::size_t count) {
    const auto bytes = take(count * sizeof(T));
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool in_range(std::int32_t value, std::int32_t lowest = 1) {
  return value >= lowest && value <= kLargest;
}

class E5Reader {
 public:
  explicit E5Reader(std::span<const std::byte> file) : file_(file), cursor_(file) {}

  std::optional<E5Model> read(std::string& error) {
    if (text_of(cursor_.take(4)) != "E5S1") fail("it does not begin with E5S1");
    read_config();
    read_vocabulary();
    read_replacements();
    read_directory();
    read_weights();
    if (error_.empty()) return std::move(model_);
    error = error_;
    return std::nullopt;
  }

 private:
  void fail(const std::string& reason) {
    if (error_.empty()) error_ = reason;
  }
  // Whether all is well up to here.
  bool check(bool good, const char* reason) {
    if (!cursor_.ok()) fail("it ends too early");
    if (!good) fail(reason);
    return error_.empty();
  }

  void read_config() {
    if (!error_.empty()) return;
    cursor_.read<std::uint32_t>();  // version
    BertConfig& config = model_.config;
    config.hidden = cursor_.read<std::int32_t>();
    config.layers = cursor_.read<std::int32_t>();
    config.heads = cursor_.read<std::int32_t>();
    config.ffn = cursor_.read<std::int32_t>();
    config.vocabulary = cursor_.read<std::int32_t>();
    config.positions = cursor_.read<std::int32_t>();
    config.segments = cursor_.read<std::int32_t>();
    config.epsilon = cursor_.read<float>();
    const auto block = cursor_.read<std::int32_t>();
    config.max_tokens = config.positions;
    config.name = "multilingual-e5-small";
    const bool counts = in_range(config.hidden) && in_range(config.layers) && in_range(config.heads) &&
                        in_range(config.ffn) && in_range(config.vocabulary) && in_range(config.positions, 2) &&
                        in_range(config.segments);
    if (!check(counts, "one of its dimensions is not sensible")) return;
    check(block == kernels::kBlock && config.hidden % kernels::kBlock == 0 && config.ffn % kernels::kBlock == 0 &&
              config.hidden % config.heads == 0,
          "its width is no multiple of 32 and of the heads");
    check(config.epsilon >= 0 && config.epsilon < 1, "its epsilon is not sensible");
  }

  void read_vocabulary() {
    if (!error_.empty()) return;
    UnigramVocabulary& to = model_.vocabulary;
    const auto count = cursor_.read<std::int32_t>();
    for (TokenId* id : {&to.begin, &to.end, &to.padding, &to.unknown}) {
      *id = cursor_.read<std::int32_t>();
      if (*id < 0 || *id >= count) fail("a special token is not in its vocabulary");
    }
    if (!check(in_range(count) && count <= model_.config.vocabulary, "it has more pieces than vectors")) return;
    const auto size = static_cast<std::size_t>(count);
    const auto bytes = cursor_.read<std::uint64_t>();
    const auto offsets = cursor_.read_all<std::uint32_t>(size + 1);
    const auto scores = cursor_.read_all<float>(size);
    const std::string_view texts = text_of(cursor_.take(bytes));
    if (!check(true, "")) return;
    to.pieces.reserve(size);
    for (std::size_t i = 0; i < size; ++i) {
      const bool inside = offsets[i] <= offsets[i + 1] && offsets[i + 1] <= texts.size();
      if (!check(inside && std::isfinite(scores[i]), "a piece of its vocabulary is broken")) return;
      to.pieces.push_back({std::string(texts.substr(offsets[i], offsets[i + 1] - offsets[i])), scores[i]});
    }
  }

  void read_replacements() {
    if (!error_.empty()) return;
    const auto count = cursor_.read<std::int32_t>();
    Cursor entries(cursor_.take(cursor_.read<std::uint32_t>()));
    if (!check(in_range(count, 0), "its count of replacements is not sensible")) return;
    for (std::int32_t i = 0; i < count && entries.ok(); ++i) {
      const auto from = entries.read<std::uint32_t>();
      const auto others = entries.read_all<std::uint32_t>(entries.read<std::uint8_t>());
      const auto known = [](std::uint32_t c) { return c <= kLastCharacter; };
      if (!check(known(from) && std::ranges::all_of(others, known), "a replacement is no character")) return;
      model_.vocabulary.replacements[from] = std::u32string(others.begin(), others.end());
    }
    check(entries.ok(), "its replacements end too early");
  }

  void read_directory() {
    if (!error_.empty()) return;
    const auto count = cursor_.read<std::int32_t>();
    if (!check(in_range(count, 0), "its count of tensors is not sensible")) return;
    for (std::int32_t i = 0; i < count && cursor_.ok(); ++i) {
      const std::string name(text_of(cursor_.take(cursor_.read<std::uint16_t>())));
      cursor_.read<std::uint8_t>();   // type: follows from the name
      cursor_.read<std::uint32_t>();  // elements: follow from the shape
      const auto offset = cursor_.read<std::uint64_t>();
      const auto size = cursor_.read<std::uint64_t>();
      if (!check(offset <= file_.size() && size <= file_.size() - offset, "a tensor lies outside the file")) return;
      tensors_[name] = file_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    }
    check(true, "");
  }

  std::span<const std::byte> tensor(const std::string& name, std::size_t size) {
    if (!error_.empty()) return {};
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      fail("tensor '" + name + "' is missing");
    } else if (found->second.size() != size) {
      fail("tensor '" + name + "' has another size than its dimensions ask for");
    } else {
      return found->second;
    }
    return {};
  }

  std::vector<float> floats(const std::string& name, int rows, int cols) {
    const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
    const auto bytes = tensor(name, count * sizeof(float));
    std::vector<float> values(bytes.size() / sizeof(float));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      fail("tensor '" + name + "' has a number that is not finite");
    }
    return values;
  }

  std::span<const std::byte> blocks(const std::string& name, int rows, int cols) {
    const auto bytes = tensor(
        name, kernels::stored_bytes(WeightType::q4_0, static_cast<std::size_t>(rows), static_cast<std::size_t>(cols)));
    const std::size_t block = kernels::stored_bytes(WeightType::q4_0, 1, kernels::kBlock);
    for (std::size_t at = 0; at < bytes.size(); at += block) {
      std::uint16_t scale;
      std::memcpy(&scale, bytes.data() + at, sizeof scale);
      if ((scale & 0x7C00U) == 0x7C00U) fail("tensor '" + name + "' has a scale that is not finite");
    }
    return bytes;
  }

  LayerNorm norm(const std::string& name) {
    return {floats(name + ".w", 1, model_.config.hidden), floats(name + ".b", 1, model_.config.hidden)};
  }

  // The matrices `names`, each [rows, cols], stacked as one.
  Linear linear(std::initializer_list<std::string> names, int rows, int cols) {
    const int total = rows * static_cast<int>(names.size());
    Linear to;
    int offset = 0;
    for (const std::string& name : names) {
      const auto stored = blocks(name + ".w", rows, cols);
      const auto bias = floats(name + ".b", 1, rows);
      if (!error_.empty()) return to;
      if (offset == 0) to.packed = AlignedBuffer<std::byte>(kernels::packed_bytes(WeightType::q4_0, total, cols));
      kernels::pack(WeightType::q4_0, stored.data(), rows, cols, offset, to.packed.data());
      to.bias.insert(to.bias.end(), bias.begin(), bias.end());
      offset += rows;
    }
    to.weight = {WeightType::q4_0, total, cols, to.packed.data()};
    return to;
  }

  void read_weights() {
    const BertConfig& config = model_.config;
    if (!error_.empty()) return;
    BertWeights& to = model_.weights;
    to.word_type = WeightType::q4_0;
    const auto words = blocks("emb.word", config.vocabulary, config.hidden);
    to.words.assign(words.begin(), words.end());
    to.positions = floats("emb.pos", config.positions, config.hidden);
    const auto segments = floats("emb.type", config.segments, config.hidden);
    for (std::size_t i = 0; i < to.positions.size() && !segments.empty(); ++i) {
      to.positions[i] += segments[i % static_cast<std::size_t>(config.hidden)];
    }
    to.embedding_norm = norm("emb.ln");
    for (int i = 0; i < config.layers && error_.empty(); ++i) {
      const std::string name = std::string(1, 'l').append(std::to_string(i)).append(1, '.');
      to.layers.push_back({.qkv = linear({name + "q", name + "k", name + "v"}, config.hidden, config.hidden),
                           .attention_output = linear({name + "ao"}, config.hidden, config.hidden),
                           .attention_norm = norm(name + "aln"),
                           .ffn_up = linear({name + "fi"}, config.ffn, config.hidden),
                           .ffn_down = linear({name + "fo"}, config.hidden, config.ffn),
                           .ffn_norm = norm(name + "oln")});
    }
  }

  std::span<const std::byte> file_;
  Cursor cursor_;
  std::map<std::string, std::span<const std::byte>> tensors_;
  E5Model model_;
  std::string error_;
};

}  // namespace

std::optional<E5Model> read_e5(std::span<const std::byte> file, std::string& error) {
  return E5Reader(file).read(error);
}

}  // namespace kvasir::embed
