#include "gateway/kv_size.hpp"

#include "engine/kv_size.hpp"
#include "engine/memory_limit.hpp"
#include "gateway/config_values.hpp"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <string>

namespace kvasir::gateway {
namespace {

struct Wanted {
  std::string model;
  std::uint64_t context = 0;
  std::uint64_t users = 0;
  kernels::KvType type = kernels::KvType::f16;
  std::optional<std::uint64_t> memory;
};

std::optional<std::uint64_t> positive(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

bool read_number(std::string_view text, std::uint64_t& to) {
  const auto value = positive(text);
  to = value.value_or(0);
  return value.has_value();
}

// One option and its value; false if it is not known or the value is none.
bool read_option(std::string_view name, std::string_view value, Wanted& wanted) {
  if (name == "--model") {
    wanted.model = value;
    return true;
  }
  if (name == "--context") return read_number(value, wanted.context);
  if (name == "--users") return read_number(value, wanted.users);
  if (name == "--memory") {
    wanted.memory = parse_bytes(value);
    return wanted.memory.has_value();
  }
  if (name != "--kv-type") return false;
  const auto& names = kernels::kKvTypeNames;
  const auto found = std::find(names.begin(), names.end(), value);
  wanted.type = static_cast<kernels::KvType>(found - names.begin());
  return found != names.end();
}

std::string in_words(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return text;
}

void print_line(const char* what, std::uint64_t bytes, const std::string& of) {
  std::printf("%-18s %" PRIu64 " bytes (%s)%s\n", what, bytes, in_words(bytes).c_str(), of.c_str());
}

void print(const Wanted& wanted, const engine::ModelShape& shape) {
  const std::uint64_t memory = wanted.memory.value_or(engine::available_memory());
  const engine::KvSize size = engine::kv_size(shape, wanted.type, wanted.context, wanted.users, memory);
  std::printf("%-18s %s, %d layers, %d query heads on %d KV heads of %d\n", "model",
              std::string(shape.architecture->name).c_str(), shape.layers, shape.attention.heads,
              shape.attention.kv_heads, shape.attention.head_dim);
  print_line("a token", size.token,
             ", " + std::string(kernels::kKvTypeNames.at(static_cast<std::size_t>(wanted.type))));
  print_line("a request", size.request,
             ", " + std::to_string(wanted.context) + " tokens in " + std::to_string(size.blocks) + " blocks of 16");
  print_line("all users", size.users,
             ", " + std::to_string(wanted.users) + " that share nothing; a shared prefix counts once");
  print_line("memory", memory, wanted.memory ? "" : ", available here now");
  std::printf("%-18s %" PRIu64 " such requests at once%s\n", "fits", size.fitting,
              size.fitting < wanted.users ? ": not all users" : "");
  if (const int group = shape.attention.heads / shape.attention.kv_heads; group > 1)
    std::printf("%-18s a formula with query heads for KV heads would say %d times as much\n", "note", group);
  if (wanted.context > static_cast<std::uint64_t>(shape.context))
    std::printf("%-18s the model was trained for %d tokens; the engine serves no longer prompt unless it slides\n",
                "note", shape.context);
}

int refuse(const std::string& what) {
  std::fprintf(stderr, "kvasir: %s\nusage: %s\n", what.c_str(), kKvSizeUsage);
  return 2;
}

}  // namespace

int run_kv_size(const std::vector<std::string_view>& arguments) {
  Wanted wanted;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string name(arguments[i]);
    if (i + 1 == arguments.size()) return refuse(name + " needs a value");
    if (!read_option(name, arguments[i + 1], wanted))
      return refuse(name + " " + std::string(arguments[i + 1]) + " is not understood");
  }
  if (wanted.model.empty() || wanted.context == 0 || wanted.users == 0)
    return refuse("kv-size needs --model, --context and --users");
  const auto file = engine::ModelFile::open(wanted.model);
  const auto shape = file ? engine::read_shape(*file) : engine::Result<engine::ModelShape>(file.error());
  if (!shape) {
    std::fprintf(stderr, "kvasir: %s\n", shape.error().message.c_str());
    return 1;
  }
  print(wanted, *shape);
  return 0;
}

}  // namespace kvasir::gateway
