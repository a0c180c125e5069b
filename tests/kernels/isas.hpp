// The instruction sets of this machine, generic first: every kernel test runs on all of them.
#pragma once

#include "kernels/kernels.hpp"

#include <vector>

namespace kvasir::kernels {

inline std::vector<const Kernels*> isas() {
  std::vector<const Kernels*> found;
  for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512})
    if (const Kernels* k = find(isa)) found.push_back(k);
  return found;
}

}  // namespace kvasir::kernels
