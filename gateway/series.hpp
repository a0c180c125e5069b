// Series by a label whose values are bounded: the first ones get their own, the rest share "other".
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// Thread safe; a series stays where it is.
template <typename Series>
class SeriesByLabel {
 public:
  static constexpr std::size_t kMaxLabels = 64;

  Series& at(std::string_view label) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = series_.find(label); found != series_.end()) return *found->second;
    }
    const std::unique_lock lock(mutex_);
    if (series_.size() >= kMaxLabels && series_.find(label) == series_.end()) label = "other";
    auto& slot = series_[std::string(label)];
    if (!slot) slot = std::make_unique<Series>();
    return *slot;
  }

  template <typename Visit>
  void each(Visit visit) const {
    const std::shared_lock lock(mutex_);
    for (const auto& [label, series] : series_) visit(label, *series);
  }

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<Series>, std::less<>> series_;
};

}  // namespace kvasir::gateway
