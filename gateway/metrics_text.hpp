// The Prometheus text format, version 0.0.4.
#pragma once

#include "gateway/json_text.hpp"

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace kvasir::gateway {

// Name and value.
using MetricLabel = std::pair<std::string_view, std::string_view>;

// "{name="value",…}"; empty without labels. What a value may not hold is replaced.
std::string metric_labels(std::span<const MetricLabel> labels);
inline std::string metric_labels(std::initializer_list<MetricLabel> labels) {
  return metric_labels(std::span(labels.begin(), labels.size()));
}

// HELP and TYPE: once for each name, before its samples.
void append_metric_head(std::string& out, std::string_view name, std::string_view type, std::string_view help);

template <typename Number>
void append_sample(std::string& out, std::string_view name, std::string_view labels, Number value) {
  out.append(name).append(labels).append(" ");
  append_number(out, value);
  out += '\n';
}

template <typename Number>
void append_metric(std::string& out, std::string_view name, std::string_view type, std::string_view help,
                   Number value) {
  append_metric_head(out, name, type, help);
  append_sample(out, name, "", value);
}

}  // namespace kvasir::gateway
