#include "cache/redis_change.hpp"

#include "cache/invalidation.hpp"

#include <algorithm>
#include <charconv>
#include <span>

#include <fmt/format.h>

namespace kvasir::cache {
namespace {

bool read_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

void read_field(RedisChange& change, const std::string& name, const std::string& value) {
  Invalidation& what = change.removed.what;
  if (name == "origin") change.origin = value;
  if (name == "insert") change.inserted = value;
  if (name == "token") change.token = value;
  if (name == "id") change.removed.ids.push_back(value);
  if (name == "document") what.documents.push_back(value);
  if (name == "tag") what.tags.push_back(value);
  if (name == "tenant") what.tenant = value;
  if (name == "model") what.model = value;
  if (name == "all") what.all = true;
  if (name == "superseded") change.removed.superseded = true;
}

// Calls `each` with at most `most` of the names at a time.
template <typename Each>
void in_pieces(const std::vector<std::string>& names, std::size_t most, Each each) {
  for (std::size_t first = 0; first < names.size(); first += most) {
    const auto piece = std::span(names).subspan(first, std::min(most, names.size() - first));
    each(std::vector<std::string>(piece.begin(), piece.end()));
  }
}

}  // namespace

std::optional<StreamId> StreamId::parse(std::string_view text) {
  const auto dash = text.find('-');
  StreamId id;
  if (dash == std::string_view::npos) return std::nullopt;
  if (!read_number(text.substr(0, dash), id.milliseconds) || !read_number(text.substr(dash + 1), id.number)) {
    return std::nullopt;
  }
  return id;
}

std::string StreamId::text() const {
  return fmt::format("{}-{}", milliseconds, number);
}

std::vector<std::string> fields_of(const StoredRemoval& removal, const std::string& origin, const std::string& token) {
  std::vector<std::string> fields{"origin", origin, "token", token};
  const auto add = [&](const char* name, const std::string& value) {
    fields.emplace_back(name);
    fields.push_back(value);
  };
  for (const std::string& id : removal.ids) add("id", id);
  for (const std::string& document : removal.what.documents) add("document", document);
  for (const std::string& tag : removal.what.tags) add("tag", tag);
  if (!removal.what.tenant.empty()) add("tenant", removal.what.tenant);
  if (!removal.what.model.empty()) add("model", removal.what.model);
  if (removal.what.all) add("all", "1");
  if (removal.superseded) add("superseded", "1");
  return fields;
}

std::optional<RedisChange> change_from(const RedisReply& element) {
  if (!element.is_list() || element.list.size() != 2 || !element.list[1].is_list()) return std::nullopt;
  const auto id = StreamId::parse(element.list[0].text);
  if (!id) return std::nullopt;
  RedisChange change;
  change.id = *id;
  const std::vector<RedisReply>& fields = element.list[1].list;
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) read_field(change, fields[i].text, fields[i + 1].text);
  return change;
}

std::vector<StoredRemoval> pieces_of(const StoredRemoval& removal, std::size_t most) {
  std::vector<StoredRemoval> pieces;
  const Invalidation& what = removal.what;
  if (!selects(what)) {
    in_pieces(removal.ids, most, [&](std::vector<std::string> ids) {
      pieces.push_back({{}, std::move(ids), removal.superseded});
    });
    return pieces;
  }
  // What `what` selects is found in Redis by name, the ids that memory knew among it.
  if (what.all || (what.documents.empty() && what.tags.empty())) {
    pieces.push_back({{{}, {}, what.tenant, what.model, what.all}, {}});
    return pieces;
  }
  in_pieces(what.documents, most, [&](std::vector<std::string> documents) {
    pieces.push_back({{std::move(documents), {}, what.tenant, what.model, false}, {}});
  });
  in_pieces(what.tags, most, [&](std::vector<std::string> tags) {
    pieces.push_back({{{}, std::move(tags), what.tenant, what.model, false}, {}});
  });
  return pieces;
}

}  // namespace kvasir::cache
