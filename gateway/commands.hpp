// The subcommands of the program (interface.md, "The program"). Each returns the exit code.
#pragma once

namespace kvasir::gateway {

// Runs `arguments` after the program's name.
int run_command(int count, char** arguments);

}  // namespace kvasir::gateway
