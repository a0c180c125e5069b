#include "gateway/metrics_text.hpp"

namespace kvasir::gateway {

std::string metric_labels(std::span<const MetricLabel> labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += text.empty() ? '{' : ',';
    text.append(name).append("=\"");
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      text += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    text += '"';
  }
  if (!text.empty()) text += '}';
  return text;
}

void append_metric_head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help);
  out.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

}  // namespace kvasir::gateway
