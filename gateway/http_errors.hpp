// What the HTTP edge answers to requests that it does not pass on.
#pragma once

#include "gateway/api_error.hpp"

namespace kvasir::gateway::http_errors {

ApiError malformed(std::string_view what);  // 400
ApiError timed_out();                       // 408
ApiError body_too_large();                  // 413
ApiError target_too_long();                 // 414
ApiError unknown_content_coding();          // 415
ApiError unknown_expectation();             // 417
ApiError headers_too_large();               // 431
ApiError unknown_transfer_coding();         // 501
ApiError unknown_version();                 // 505

}  // namespace kvasir::gateway::http_errors
