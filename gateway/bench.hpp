// `kvasir bench`: the project's own benchmarks.
#pragma once

namespace kvasir::gateway {

// `arguments` follow the word "bench". Returns the exit code.
int run_bench(int count, char** arguments);

}  // namespace kvasir::gateway
