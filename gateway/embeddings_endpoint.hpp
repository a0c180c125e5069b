// POST /v1/embeddings: by the embedder in this process, which also embeds questions for the semantic tier, or passed on
// to an upstream.
#pragma once

#include "gateway/embeddings_request.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/key_ring.hpp"
#include "gateway/metrics.hpp"
#include "gateway/model_table.hpp"
#include "gateway/question_embedder.hpp"

#include <string>
#include <vector>

namespace kvasir::gateway {

class EmbeddingsEndpoint {
 public:
  // `name`: the embedder's, as clients call it; empty: there is none. What is referred to must outlive the endpoint.
  EmbeddingsEndpoint(std::string name, QuestionEmbedder& embedder, const ModelTable& models)
      : name_(std::move(name)), embedder_(&embedder), models_(&models) {}

  // Answers the exchange and fills `record`; `caller` pays for the tokens.
  Task<void> handle(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  // The model's name, or empty.
  const std::string& name() const { return name_; }

 private:
  using Tokens = embed::Embedder::Tokens;
  struct Job;

  bool serves(const EmbeddingsRequest& request) const;
  std::optional<ApiError> check(const EmbeddingsRequest& request) const;
  Task<void> tokenize(Job& job);
  Task<void> embed(Job& job);

  std::string name_;
  QuestionEmbedder* embedder_;
  const ModelTable* models_;
};

}  // namespace kvasir::gateway
