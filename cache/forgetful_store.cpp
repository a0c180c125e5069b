#include "cache/store.hpp"

namespace kvasir::cache {
namespace {

class ForgetfulStore final : public Store {
 public:
  std::uint64_t load(const std::function<void(StoredEntry)>& /*each*/, std::string& /*error*/) override { return 0; }
  bool apply(std::span<const StoreOperation* const> /*operations*/) override { return true; }
};

}  // namespace

std::unique_ptr<Store> make_forgetful_store() {
  return std::make_unique<ForgetfulStore>();
}

}  // namespace kvasir::cache
