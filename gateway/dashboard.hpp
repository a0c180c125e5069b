// The page of the admin listener: one page, one script and one style sheet (gateway/dashboard/), as they were when the
// program was built. They hold no data; the script reads that from the admin API.
#pragma once

#include "gateway/http_message.hpp"

#include <string_view>

namespace kvasir::gateway {

// The script or the style sheet.
bool is_dashboard_file(std::string_view path);
// One of these, or the page itself: a browser asks for HTML at "/", where other programs get plain text.
bool asks_for_dashboard(const HttpRequest& request);
HttpResponse dashboard(std::string_view path);

std::string_view dashboard_html();
std::string_view dashboard_js();
std::string_view dashboard_css();

}  // namespace kvasir::gateway
