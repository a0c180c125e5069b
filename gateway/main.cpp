#include "gateway/commands.hpp"

#include <cstdio>
#include <exception>

int main(int count, char** arguments) {
  try {
    return kvasir::gateway::run_command(count - 1, arguments + 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kvasir: %s\n", error.what());
    return 1;
  }
}
