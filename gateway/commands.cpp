#include "gateway/commands.hpp"

#include "gateway/bench.hpp"
#include "gateway/config.hpp"
#include "gateway/gateway.hpp"
#include "gateway/kv_size.hpp"
#include "gateway/tune.hpp"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {
namespace {

constexpr const char* kUsage =
    "usage: kvasir serve [--config FILE]\n"
    "       kvasir check-config FILE [--print]\n"
    "       kvasir kv-size --model FILE.gguf --context TOKENS --users N [--kv-type f16|int8|int4] [--memory SIZE]\n"
    "       kvasir tune --pairs FILE.jsonl [--config FILE] [--max-error-rate RATE] [--svg FILE] [--json FILE]\n"
    "       kvasir bench LANE …\n"
    "       kvasir --version\n";

using Arguments = std::vector<std::string_view>;

int usage_error(const std::string& message) {
  std::fprintf(stderr, "kvasir: %s\n%s", message.c_str(), kUsage);
  return 2;
}

int report(const Config& config) {
  for (const ConfigError& error : config.errors) std::fprintf(stderr, "%s\n", error.text().c_str());
  return 1;
}

// The file of whoever names none; empty: there is none.
std::string file_here() {
  constexpr const char* kHere = "./kvasir.yaml";
  std::error_code ignored;
  return std::filesystem::exists(kHere, ignored) ? kHere : "";
}

int serve(const Arguments& arguments) {
  std::string path;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) {
      path = arguments[++i];
    } else if (arguments[i].starts_with("--config=")) {
      path = arguments[i].substr(9);
    } else {
      return usage_error("serve does not know '" + std::string(arguments[i]) + "'");
    }
  }
  if (path.empty()) path = file_here();
  const Environment environment = process_environment();
  const Config config = path.empty() ? default_config(environment) : load_config(path, environment);
  if (!config.errors.empty()) return report(config);
  std::signal(SIGHUP, SIG_IGN);  // a terminal that goes away must not end it while models load
  std::string error;
  const auto gateway = Gateway::open(config.settings, error, path);
  if (!gateway) {
    std::fprintf(stderr, "kvasir: %s\n", error.c_str());
    return 1;
  }
  gateway->start();
  gateway->wait();
  gateway->drain();
  return 0;
}

int check_config(const Arguments& arguments) {
  std::string path;
  bool print = false;
  for (const std::string_view argument : arguments) {
    if (argument == "--print") {
      print = true;
    } else if (path.empty() && !argument.starts_with("-")) {
      path = argument;
    } else {
      return usage_error("check-config does not know '" + std::string(argument) + "'");
    }
  }
  if (path.empty()) return usage_error("check-config needs a FILE");
  const Config config = load_config(path, process_environment());
  if (!config.errors.empty()) return report(config);
  std::fputs(print ? print_config(config.settings).c_str() : (path + ": ok\n").c_str(), stdout);
  return 0;
}

}  // namespace

int run_command(int count, char** arguments) {
  const std::span<char*> all(arguments, static_cast<std::size_t>(count));
  if (all.empty()) return usage_error("a command is missing");
  const std::string_view command = all.front();
  const Arguments rest(all.begin() + 1, all.end());
  if (command == "serve") return serve(rest);
  if (command == "check-config") return check_config(rest);
  if (command == "bench") return run_bench(count - 1, arguments + 1);
  if (command == "kv-size") return run_kv_size(rest);
  if (command == "tune") return run_tune(rest);
  if (command == "--version" || command == "version") {
    std::puts("kvasir " KVASIR_VERSION);
    return 0;
  }
  if (command == "--help" || command == "-h" || command == "help") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  return usage_error("there is no command '" + std::string(command) + "'");
}

}  // namespace kvasir::gateway
