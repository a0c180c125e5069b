#include "gateway/embeddings_request.hpp"

#include "gateway/field_reader.hpp"
#include "gateway/json_body.hpp"

#include <utility>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kMaxInputs = 2048;

class EmbeddingsReader : private FieldReader {
 public:
  explicit EmbeddingsReader(EmbeddingsRequest& request) : request_(&request) {}

  std::optional<ApiError> read(simdjson::dom::object object) {
    for (const auto field : object) {
      if (field.value.is_null() && field.key != "input") continue;
      if (!this->field(field.key, field.value)) return error_;
    }
    if (request_->inputs.empty()) missing("input");
    return error_;
  }

 private:
  bool field(std::string_view name, Json value) {
    if (name == "input") return input(name, value);
    if (name == "model") return text(name, value, request_->model);
    if (name == "encoding_format") return encoding_format(name, value);
    if (name == "dimensions") return dimensions(name, value);
    if (name == "user") return value.is_string() || fail_type(name, "a string", value);
    return true;
  }

  bool encoding_format(std::string_view name, Json value) {
    std::string format;
    if (!text(name, value, format)) return false;
    request_->base64 = format == "base64";
    return request_->base64 || format == "float" || fail_range(name, "'float' or 'base64'");
  }

  bool dimensions(std::string_view name, Json value) {
    std::int64_t number = 0;
    if (!integer(name, value, 1, 1 << 20, number)) return false;
    request_->dimensions = static_cast<int>(number);
    return true;
  }

  bool input(std::string_view name, Json value) {
    if (value.is_string()) return one_text(std::string(name), value);
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return fail_type(name, kTextsOrTokens, value);
    if (list.size() == 0) return fail("Invalid 'input': expected at least one input.", name);
    if (list.at(0).is_int64()) return one_token_list(std::string(name), list);
    if (list.size() > kMaxInputs) return fail_range(name, "an array of at most 2048 inputs");
    for (const Json item : list) {
      const std::string place = element_name(name, request_->inputs.size());
      simdjson::dom::array tokens;
      if (item.is_string()) {
        if (!one_text(place, item)) return false;
      } else if (item.get(tokens) == simdjson::SUCCESS) {
        if (!one_token_list(place, tokens)) return false;
      } else {
        return fail_type(place, "a string or an array of tokens", item);
      }
      if (request_->inputs.front().index() != request_->inputs.back().index()) {
        return fail("Invalid 'input': texts and tokens cannot be mixed.", name);
      }
    }
    return true;
  }

  bool one_text(const std::string& place, Json value) {
    std::string text;
    if (!this->text(place, value, text)) return false;
    if (text.empty()) return fail("Invalid '" + place + "': the input cannot be an empty string.", "input");
    request_->inputs.emplace_back(std::move(text));
    return true;
  }

  bool one_token_list(const std::string& place, simdjson::dom::array list) {
    if (list.size() == 0) return fail("Invalid '" + place + "': the input cannot be an empty array.", "input");
    EmbeddingsRequest::Tokens tokens;
    if (!token_ids(place, list, tokens)) return false;
    request_->inputs.emplace_back(std::move(tokens));
    return true;
  }

  EmbeddingsRequest* request_;
};

}  // namespace

Result<EmbeddingsRequest> parse_embeddings_request(std::string& body) {
  EmbeddingsRequest request;
  auto error =
      read_json_object(body, [&](simdjson::dom::object object) { return EmbeddingsReader(request).read(object); });
  if (error) return std::move(*error);
  return request;
}

}  // namespace kvasir::gateway
