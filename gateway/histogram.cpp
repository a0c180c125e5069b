#include "gateway/histogram.hpp"

#include "gateway/metrics_text.hpp"

#include <algorithm>

namespace kvasir::gateway {

void Histogram::observe(double value) {
  const auto bucket =
      static_cast<std::size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(std::max(value, 0.0), std::memory_order_relaxed);
}

void Histogram::append(std::string& out, std::string_view name, std::string_view labels) const {
  const std::string base(name);
  const std::string prefix = labels.empty() ? "{" : std::string(labels.substr(0, labels.size() - 1)) + ",";
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) {
    total += counts_[i].load(std::memory_order_relaxed);
    std::string bucket = prefix;
    bucket += "le=\"";
    if (i < bounds_.size()) {
      append_number(bucket, bounds_[i]);
    } else {
      bucket += "+Inf";
    }
    bucket += "\"}";
    append_sample(out, base + "_bucket", bucket, total);
  }
  append_sample(out, base + "_sum", labels, sum_.load(std::memory_order_relaxed));
  append_sample(out, base + "_count", labels, total);
}

}  // namespace kvasir::gateway
