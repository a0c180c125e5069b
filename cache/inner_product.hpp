// Inner product of two float vectors with the widest instructions of this machine.
//
// Debian's FAISS is compiled for the x86-64 baseline and multiplies one float at a time; a scan of the vectors is the
// one place of the cache where that is felt.
#pragma once

#include <cstddef>

namespace kvasir::cache {

// `a` and `b`: `dimension` floats each, no alignment needed.
using InnerProduct = float (*)(const float* a, const float* b, std::size_t dimension);

// AVX-512F, AVX2 with FMA, or portable: whatever this machine has. The same function at every call.
InnerProduct inner_product();

}  // namespace kvasir::cache
