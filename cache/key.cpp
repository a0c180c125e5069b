// The two keys of a request (ARCHITECTURE.md, decision 2).
//
// Both are hashes of fields written one after the other, each with its length. Fields that the client left out are
// written with their defaults, so leaving out and writing the default are the same request. The question is compared
// byte by byte after white space around it was taken off; nothing else is normalised in the exact tier.
#include "cache/response_cache.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir::cache {
namespace {

class CanonicalWriter {
 public:
  explicit CanonicalWriter(std::size_t size) { bytes_.reserve(size); }

  CanonicalWriter& field(std::string_view bytes) {
    number(bytes.size());
    bytes_.append(bytes);
    return *this;
  }
  CanonicalWriter& field(const rag::ContentId& id) {
    return field(std::string_view(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()));
  }
  CanonicalWriter& number(std::uint64_t value) {
    std::array<char, 8> little_endian{};
    for (std::size_t i = 0; i < little_endian.size(); ++i) little_endian[i] = static_cast<char>(value >> (8 * i));
    bytes_.append(little_endian.data(), little_endian.size());
    return *this;
  }
  CanonicalWriter& real(double value) { return number(std::bit_cast<std::uint64_t>(value == 0.0 ? 0.0 : value)); }

  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

enum class SamplingClass : std::uint8_t { greedy, sampled, wild };

SamplingClass sampling_class(double temperature, double top_p) {
  if (temperature <= 0.0 || top_p <= 0.0) return SamplingClass::greedy;
  return temperature <= 1.0 ? SamplingClass::sampled : SamplingClass::wild;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view white_space = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

bool uses_tools(const CacheRequest& request) {
  return !request.tools.empty() || std::ranges::any_of(request.prompt->messages, [](const rag::Message& message) {
    return message.role == rag::Role::tool;
  });
}

// Who speaks and in what order; the texts are in the identities of system, history and question.
void write_shape(CanonicalWriter& out, const rag::Prompt& prompt) {
  out.number(prompt.messages.size());
  for (const rag::Message& message : prompt.messages) {
    out.number(static_cast<std::uint64_t>(message.role)).field(message.name);
  }
  out.number(prompt.documents_in_text ? 1 : 0);
}

void write_partition(CanonicalWriter& out, const CacheRequest& request) {
  const rag::Prompt& prompt = *request.prompt;
  out.field("kvasir.partition.2").field(request.tenant);
  // Whatever the user is called, an entry of theirs never meets one of the whole tenant.
  out.number(request.user.empty() ? 0 : 1).field(request.user).field(request.model);
  out.field(prompt.system_identity()).field(prompt.history_identity());
  // Where the sets may differ, each entry's own is held against the request's.
  out.field(request.documents == DocumentMode::same
                ? prompt.documents.identity()
                : rag::ContentId::of(kDocumentModes[static_cast<std::size_t>(request.documents)]));
  write_shape(out, prompt);
  out.field(request.tools).field(request.response_format).field(request.logit_bias).field(request.extra);
  out.number(request.stop.size());
  for (const std::string& stop : request.stop) out.field(stop);
  out.number(static_cast<std::uint64_t>(request.n));
  out.number(request.seed ? 1 : 0).number(static_cast<std::uint64_t>(request.seed.value_or(0)));
  out.number(static_cast<std::uint64_t>(sampling_class(request.temperature, request.top_p)));
  out.real(request.frequency_penalty).real(request.presence_penalty);
}

std::string_view refusal(const CacheRequest& request, std::string_view question) {
  if (uses_tools(request)) return "tools";
  if (question.empty()) return "no_question";
  if (sampling_class(request.temperature, request.top_p) == SamplingClass::wild) return "temperature";
  return {};
}

// An embedder cuts what is too long for it (256 word pieces and more): long questions could differ behind the cut and
// still have one vector. 512 bytes of English, Vietnamese or Chinese stay below that.
constexpr std::size_t longest_embedded_question = 512;

// An entry holds these bytes and the question again; a document pasted into a question is not asked twice.
constexpr std::size_t longest_canonical_request = std::size_t{64} * 1024;

}  // namespace

CacheKey make_key(const CacheRequest& request) {
  CacheKey key;
  const std::string_view question = trim(request.prompt->question);
  key.question = question;
  key.tenant = request.tenant;
  key.model = request.model;
  key.documents = request.prompt->documents.keys();
  key.document_ids = request.prompt->documents.identities();
  for (const rag::Document& document : request.prompt->documents.in_order())
    key.document_versions.push_back(document.version);
  key.document_set = request.prompt->documents.identity();
  key.document_mode = request.documents;
  key.max_tokens = request.max_tokens;
  key.top_logprobs = request.top_logprobs;
  key.not_cacheable = refusal(request, question);
  key.of_one_user = !request.user.empty();
  key.semantic = question.size() <= longest_embedded_question;
  key.follows_up = !request.prompt->history.empty();

  constexpr std::size_t kUsualPartition = 512;
  CanonicalWriter canonical(kUsualPartition + question.size());
  write_partition(canonical, request);
  key.partition = rag::ContentId::of(canonical.bytes());
  canonical.field(question);
  key.canonical = canonical.take();
  key.exact = rag::ContentId::of(key.canonical);
  if (key.not_cacheable.empty() && key.canonical.size() > longest_canonical_request) key.not_cacheable = "too_large";
  return key;
}

}  // namespace kvasir::cache
