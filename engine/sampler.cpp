#include "engine/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace kvasir::engine {
namespace {

// SplitMix64 (Steele, Lea & Flood, 2014): a good hash of a counter.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

std::uint64_t fresh_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

// The best value, the lowest id among equals.
TokenId best_of(std::span<const float> values) {
  return static_cast<TokenId>(std::max_element(values.begin(), values.end()) - values.begin());
}

// Of those that are allowed, also where no comparison holds, as with a NaN.
TokenId best_of(std::span<const float> values, const TokenMask* allowed) {
  if (allowed == nullptr) return best_of(values);
  TokenId best = -1;
  allowed->for_each([&](TokenId token) {
    const auto value = [&](TokenId id) { return values[static_cast<std::size_t>(id)]; };
    if (best < 0 || value(token) > value(best)) best = token;
  });
  return best;
}

std::vector<std::pair<TokenId, float>> best_of(std::span<const float> values, std::size_t count) {
  std::vector<std::pair<TokenId, float>> best;
  if (count == 0) return best;
  const auto better = [](const auto& a, const auto& b) {
    return a.second > b.second || (a.second == b.second && a.first < b.first);
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::pair<TokenId, float> candidate{static_cast<TokenId>(i), values[i]};
    if (best.size() == count && !better(candidate, best.back())) continue;
    if (best.size() == count) best.pop_back();
    best.insert(std::upper_bound(best.begin(), best.end(), candidate, better), candidate);
  }
  return best;
}

double log_sum_exp(std::span<const float> logits, float top) {
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z) - top);
  return top + std::log(sum);
}

}  // namespace

Sampler::Sampler(const SamplingParams& params, const kernels::Kernels& kernels)
    : params_(params), kernels_(kernels), seed_(params.seed ? mix(*params.seed) : fresh_seed()) {}

SampledToken Sampler::sample(std::span<const float> logits, std::span<const TokenId> prompt,
                             std::span<const TokenId> generated, const TokenMask* allowed) {
  SampledToken result;
  if (penalizes()) count(prompt, generated);
  if (greedy() && !penalizes() && params_.logit_bias.empty()) {
    result.token = best_of(logits, allowed);
  } else {
    work_.assign(logits.begin(), logits.end());
    adjust();
    if (allowed != nullptr) keep(*allowed);
    result.token = greedy() ? best_of(work_, allowed) : draw(generated.size(), allowed);
  }
  if (params_.top_logprobs < 0) return result;

  const double normalizer = log_sum_exp(logits, logits[static_cast<std::size_t>(best_of(logits))]);
  result.logprob = static_cast<float>(logits[static_cast<std::size_t>(result.token)] - normalizer);
  result.top = best_of(logits, static_cast<std::size_t>(params_.top_logprobs));
  for (auto& [token, value] : result.top) value = static_cast<float>(value - normalizer);
  return result;
}

Sampler Sampler::without_penalties() const {
  Sampler sampler = *this;
  sampler.params_.frequency_penalty = 0;
  sampler.params_.presence_penalty = 0;
  sampler.params_.repetition_penalty = 1;
  sampler.params_.top_logprobs = -1;
  return sampler;
}

bool Sampler::penalizes() const {
  return params_.frequency_penalty != 0 || params_.presence_penalty != 0 || params_.repetition_penalty != 1;
}

void Sampler::count(std::span<const TokenId> prompt, std::span<const TokenId> generated) {
  if (counts_.empty() && params_.repetition_penalty != 1)
    for (const TokenId token : prompt) counts_.try_emplace(token, 0);
  for (; counted_ < generated.size(); ++counted_) ++counts_[generated[counted_]];
}

void Sampler::adjust() {
  for (const auto& [token, bias] : params_.logit_bias) work_[static_cast<std::size_t>(token)] += bias;
  for (const auto& [token, count] : counts_) {
    float& logit = work_[static_cast<std::size_t>(token)];
    logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    if (count > 0) logit -= static_cast<float>(count) * params_.frequency_penalty + params_.presence_penalty;
  }
}

void Sampler::keep(const TokenMask& allowed) {
  kept_.assign(work_.size(), -std::numeric_limits<float>::infinity());
  allowed.for_each(
      [&](TokenId token) { kept_[static_cast<std::size_t>(token)] = work_[static_cast<std::size_t>(token)]; });
  work_.swap(kept_);
}

TokenId Sampler::draw(std::uint64_t index, const TokenMask* allowed) {
  // Relative to the best one, so that a low temperature cannot overflow.
  const TokenId best = best_of(work_, allowed);
  const float top = work_[static_cast<std::size_t>(best)];
  const float inverse = 1.0F / params_.temperature;
  for (float& z : work_) z = (z - top) * inverse;
  kernels_.softmax(work_.data(), static_cast<int>(work_.size()));
  const float u = static_cast<float>(mix(seed_ ^ mix(index)) >> 40) * 0x1p-24F;
  if (params_.top_p < 1 || params_.top_k > 0 || params_.min_p > 0) return draw_from_nucleus(u, best);

  double sum = 0;
  TokenId last = best;
  for (std::size_t i = 0; i < work_.size(); ++i) {
    if (!(work_[i] > 0)) continue;  // a NaN counts as nothing
    sum += work_[i];
    last = static_cast<TokenId>(i);
    if (u < sum) return last;
  }
  return last;
}

TokenId Sampler::draw_from_nucleus(float u, TokenId best) {
  const auto better = [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  const float least = params_.min_p * *std::max_element(work_.begin(), work_.end());
  nucleus_.clear();
  for (std::size_t i = 0; i < work_.size(); ++i)
    if (work_[i] > 0 && work_[i] >= least) nucleus_.emplace_back(work_[i], static_cast<TokenId>(i));
  if (nucleus_.empty()) return best;
  const auto top_k = static_cast<std::size_t>(params_.top_k);
  if (top_k > 0 && top_k < nucleus_.size()) {
    std::nth_element(nucleus_.begin(), nucleus_.begin() + params_.top_k, nucleus_.end(), better);
    nucleus_.resize(top_k);
    std::sort(nucleus_.begin(), nucleus_.end(), better);
  }
  const double whole = std::accumulate(nucleus_.begin(), nucleus_.end(), 0.0,
                                       [](double sum, const auto& candidate) { return sum + candidate.first; });
  // The nucleus is small as a rule: sort a few, and more only if their mass does not reach top_p.
  double mass = 0;
  std::size_t kept = 0;
  for (std::size_t sorted = 0; kept < nucleus_.size();) {
    if (kept == sorted) {
      sorted = std::min(nucleus_.size(), std::max<std::size_t>(64, sorted * 8));
      std::partial_sort(nucleus_.begin() + static_cast<std::ptrdiff_t>(kept),
                        nucleus_.begin() + static_cast<std::ptrdiff_t>(sorted), nucleus_.end(), better);
    }
    mass += nucleus_[kept++].first;
    if (mass >= params_.top_p * whole) break;
  }
  double sum = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    sum += nucleus_[i].first;
    if (u * mass < sum) return nucleus_[i].second;
  }
  return nucleus_[kept - 1].second;
}

}  // namespace kvasir::engine
