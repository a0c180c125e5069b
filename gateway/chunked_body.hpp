// A chunked body, from bytes to its data (RFC 9112, section 7.1), strictly. Extensions and trailers are checked and
// dropped.
#pragma once

#include "gateway/api_error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir::gateway {

class ChunkedBody {
 public:
  enum class State { size, data, data_end, trailers, done, failed };

  // In bytes: `max_body` bounds the data, `max_fields` a chunk's first line and all trailers together. All extensions
  // may have as much, and as much again as there is data.
  ChunkedBody(std::uint64_t max_body, std::size_t max_fields) : max_body_(max_body), max_fields_(max_fields) {}

  // Appends data to `body`; returns how many of the bytes are done with. The rest must stand at the front of the next
  // call's bytes; it is never longer than max_fields.
  std::size_t put(std::string_view bytes, std::string& body);

  State state() const { return state_; }
  bool reading() const { return state_ != State::done && state_ != State::failed; }
  // With State::failed: 400, 413 or 431.
  const ApiError& error() const { return error_; }

 private:
  std::size_t take_data(std::string_view bytes, std::string& body);
  std::size_t take_line(std::string_view bytes);
  void take_size(std::string_view line);
  void take_trailer(std::string_view line);
  void fail(ApiError error);

  std::uint64_t max_body_;
  std::size_t max_fields_;
  State state_ = State::size;
  ApiError error_;
  std::uint64_t taken_ = 0;  // bytes of data
  std::uint64_t left_ = 0;   // of this chunk
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t searched_ = 0;  // of the line that is not whole yet
};

}  // namespace kvasir::gateway
