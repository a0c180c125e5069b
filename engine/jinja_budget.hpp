// What rendering may cost. A template is somebody else's program: it must end, and not in an out-of-memory kill.
#pragma once

#include "engine/jinja_value.hpp"

#include <cstddef>
#include <cstdint>

namespace kvasir::engine::jinja {

// Lists, dictionaries and texts are shared, so that a small program can describe an enormous value. Whoever walks
// through one or makes one spends first, piece by piece.
class Budget {
 public:
  // `steps`: statements, expressions and elements visited; `bytes`: of all strings and lists made, together.
  Budget(std::int64_t steps, std::int64_t bytes) : steps_(steps), bytes_(bytes) {}

  void spend_steps(std::size_t steps) {
    if (steps > static_cast<std::size_t>(steps_)) fail_evaluation("the template takes too many steps");
    steps_ -= static_cast<std::int64_t>(steps);
  }
  void spend_step() { spend_steps(1); }
  // For reading through so many bytes of text.
  void spend_reading(std::size_t bytes) { spend_steps(bytes / kBytesReadPerStep); }
  // For a look through so many entries, one after the other.
  void spend_search(std::size_t entries) { spend_steps(entries / kEntriesSearchedPerStep); }

  void spend_bytes(std::size_t bytes) {
    if (bytes > static_cast<std::size_t>(bytes_)) fail_evaluation("the template makes too much text");
    bytes_ -= static_cast<std::int64_t>(bytes);
  }
  void spend_bytes(std::size_t bytes, std::size_t times) {
    std::size_t product = 0;
    spend_bytes(__builtin_mul_overflow(bytes, times, &product) ? SIZE_MAX : product);
  }
  void spend_elements(std::size_t elements) { spend_bytes(sizeof(Value), elements); }

 private:
  static constexpr std::size_t kBytesReadPerStep = 256;
  static constexpr std::size_t kEntriesSearchedPerStep = 16;

  std::int64_t steps_;
  std::int64_t bytes_;
};

}  // namespace kvasir::engine::jinja
