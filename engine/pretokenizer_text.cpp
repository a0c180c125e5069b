#include "engine/pretokenizer_text.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <unicode/uchar.h>

namespace kvasir::engine {

std::uint8_t PreTokenizerText::classes_of(char32_t code_point) {
  const auto c = static_cast<UChar32>(code_point);
  const std::uint32_t category = U_GET_GC_MASK(c);
  std::uint8_t classes = 0;
  if ((category & U_GC_L_MASK) != 0) classes |= kLetter;
  if ((category & U_GC_N_MASK) != 0) classes |= kNumber;
  if ((category & U_GC_P_MASK) != 0) classes |= kPunctuation;
  if ((category & U_GC_M_MASK) != 0) classes |= kMark;
  if ((category & U_GC_S_MASK) != 0) classes |= kSymbol;
  const std::uint32_t caseless = U_GC_LM_MASK | U_GC_LO_MASK | U_GC_M_MASK;
  if ((category & (caseless | U_GC_LU_MASK | U_GC_LT_MASK)) != 0) classes |= kUpper;
  if ((category & (caseless | U_GC_LL_MASK)) != 0) classes |= kLower;
  if (u_isUWhiteSpace(c) != 0) classes |= kSpace;
  return classes;
}

PreTokenizerText::PreTokenizerText(std::string_view text) : text_(text) {
  code_points_.reserve(text.size());
  classes_.reserve(text.size());
  offsets_.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character next = decode_utf8(text.substr(at));
    offsets_.push_back(at);
    code_points_.push_back(next.code_point);
    classes_.push_back(next.status == Utf8Status::valid ? classes_of(next.code_point) : std::uint8_t{0});
    at += next.bytes;
  }
  offsets_.push_back(text.size());
}

}  // namespace kvasir::engine
