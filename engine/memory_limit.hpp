// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace kvasir::engine {

// Bytes: the kernel's estimate of what is available without swapping (proc(5), MemAvailable), or what the control group
// (cgroup v2, memory.max) leaves, whichever is less. The largest number if neither can be read.
std::uint64_t available_memory();

}  // namespace kvasir::engine
