#include "gateway/http_message.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>
#include <iterator>
#include <random>

namespace kvasir::gateway {

std::string_view status_text(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

void append_date(std::string& headers) {
  constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  thread_local std::time_t written = -1;
  thread_local std::string line;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != written) {
    std::tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), ", %d     %Y %H:%M:%S GMT\r\n", &utc);
    line.assign("date: ").append(kDays[static_cast<std::size_t>(utc.tm_wday)]).append(text.data());
    line.replace(line.find("     ") + 1, 3, kMonths[static_cast<std::size_t>(utc.tm_mon)]);
    written = now.tv_sec;
  }
  headers += line;
}

bool sane_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ':';
  });
}

std::string random_id(std::string_view prefix) {
  thread_local std::mt19937_64 generator{[] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }()};
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<char, 32> digits{};
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint64_t bits = generator();
    for (std::size_t digit = 0; digit < 16; ++digit, bits >>= 4) digits[16 * half + digit] = kDigits[bits & 15];
  }
  std::string id;
  id.reserve(prefix.size() + digits.size());
  return id.append(prefix).append(digits.data(), digits.size());
}

void append_header(std::string& headers, std::string_view name, std::string_view value) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  headers.append(name).append(": ");
  const auto first_control = std::find_if(value.begin(), value.end(), is_control);
  headers.append(value.begin(), first_control);
  std::remove_copy_if(first_control, value.end(), std::back_inserter(headers), is_control);
  headers += "\r\n";
}

}  // namespace kvasir::gateway
