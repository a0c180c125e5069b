#include "kernels/limits.hpp"

namespace kvasir::kernels {

namespace generic {
Limits limits();
}
#if defined(__x86_64__)
namespace avx2 {
Limits limits();
}
namespace avx512 {
Limits limits();
}
#endif

Limits limits(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return avx2::limits();
  if (isa == Isa::avx512) return avx512::limits();
#endif
  return generic::limits();
}

}  // namespace kvasir::kernels
