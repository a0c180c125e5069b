#include "gateway/content_coding.hpp"

#include "gateway/http_errors.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <boost/beast/core/string.hpp>
#include <zlib.h>

namespace kvasir::gateway {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, and nothing but gzip

// Owns zlib's state.
class Inflater {
 public:
  Inflater() : good_(inflateInit2(&stream_, kGzipWindow) == Z_OK) {}
  ~Inflater() {
    if (good_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool good() const { return good_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool good_;
};

}  // namespace

Result<ContentCoding> parse_content_coding(std::string_view field) {
  using boost::beast::iequals;
  if (field.empty() || iequals(field, "identity")) return ContentCoding::identity;
  if (iequals(field, "gzip") || iequals(field, "x-gzip")) return ContentCoding::gzip;
  return http_errors::unknown_content_coding();
}

Result<std::string> gunzip(std::string_view packed, std::uint64_t max_bytes) {
  const ApiError damaged = ApiError::invalid("The body is not whole gzip data.");
  Inflater inflater;
  if (!inflater.good()) return ApiError::internal();
  z_stream& stream = inflater.stream();
  std::array<char, 64 << 10> block;
  std::string plain;
  bool member_ended = false;
  while (!packed.empty() || !member_ended) {
    if (member_ended && inflateReset(&stream) != Z_OK) return ApiError::internal();
    const std::size_t given = std::min<std::size_t>(packed.size(), std::numeric_limits<uInt>::max());
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) return damaged;  // also where more input would be needed
    const std::size_t count = block.size() - stream.avail_out;
    if (count > max_bytes - plain.size()) return http_errors::body_too_large();
    plain.append(block.data(), count);
    packed.remove_prefix(given - stream.avail_in);
    member_ended = status == Z_STREAM_END;
  }
  return plain;
}

}  // namespace kvasir::gateway
