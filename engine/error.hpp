// Errors of the engine are values.
#pragma once

#include <stdexcept>
#include <string>

#include <boost/system/result.hpp>

namespace kvasir::engine {

enum class ErrorCode {
  bad_model_file,     // cannot be read, is cut, or contradicts itself
  unsupported_model,  // architecture, tensor type or tokenizer that this build does not know
  bad_request,        // the request cannot be rendered or sampled as asked; `param` names the field
  context_length,     // prompt (plus what must be generated) longer than the context
  prompt_not_found,   // the KV of a prompt that the request names is not there any more
  overloaded,         // no blocks or no place in the queue; try again after `retry_after_seconds`
  shutting_down,
  internal,
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;          // one sentence that tells what to do
  std::string param;            // request field, if one is to blame
  int retry_after_seconds = 0;  // for overloaded
};

template <typename T>
using Result = boost::system::result<T, Error>;

}  // namespace kvasir::engine

namespace boost::system {
// result<T, Error>::value() on an error is a programming error; say which.
[[noreturn]] inline void throw_exception_from_error(const kvasir::engine::Error& error, const boost::source_location&) {
  throw std::logic_error("engine result used without a check: " + error.message);
}
}  // namespace boost::system
