// POST /v1/embeddings: by the embedder in this process, which also embeds questions for the semantic tier, or passed on
// to an upstream.
#pragma once

#include "gateway/caller.hpp"
#include "gateway/embeddings_request.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/question_embedder.hpp"

#include <string>
#include <vector>

namespace kvasir::gateway {

class EmbeddingsEndpoint {
 public:
  // `name`: the embedder's, as clients call it; empty: there is none. `embedder` must outlive the endpoint.
  EmbeddingsEndpoint(std::string name, QuestionEmbedder& embedder) : name_(std::move(name)), embedder_(&embedder) {}

  // Answers the exchange and fills `record`; `caller` pays for the tokens.
  Task<void> handle(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  // The model's name, or empty.
  const std::string& name() const { return name_; }

 private:
  using Tokens = embed::Embedder::Tokens;
  struct Job;

  // The embedder in this process does.
  bool serves(const EmbeddingsRequest& request, const Caller& caller) const;
  static ApiError why_not(const EmbeddingsRequest& request, const ModelTable::Model* model);
  Task<void> answer(EmbeddingsRequest request, TokenUsage most, HttpExchange& exchange, Caller& caller,
                    RequestRecord& record);
  Task<void> tokenize(Job& job);
  Task<void> embed(Job& job);

  std::string name_;
  QuestionEmbedder* embedder_;
};

}  // namespace kvasir::gateway
