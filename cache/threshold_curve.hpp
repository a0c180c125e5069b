// What a threshold costs: how often pairs that mean the same would share an answer, and how often others would.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace kvasir::cache {

// Two questions, as the semantic tier would see the one with the other's answer stored.
struct JudgedPair {
  float cosine = 0.0F;
  bool same = false;      // they mean the same: the label
  bool admitted = false;  // no guard objects, and both may be kept and are read whole
};

// `hits` of `of`, with Wilson's 95 % interval (JASA 22, 1927): it holds for few cases and for none, too.
struct Share {
  int hits = 0;
  int of = 0;
  double low = 0.0;
  double high = 1.0;

  double value() const { return of == 0 ? 0.0 : static_cast<double>(hits) / of; }
};
Share share(int hits, int of);

struct CurvePoint {
  float threshold = 0.0F;
  Share true_hits;   // of the pairs that mean the same
  Share false_hits;  // of the others
};

// `guarded` false: the cosine alone decides.
CurvePoint judge_threshold(std::span<const JudgedPair> pairs, bool guarded, float threshold);

// Of `thresholds` (ascending) from which on the upper end of the false hits' interval is at most `max_error_rate`, the
// one with the most hits, and of equals the highest: a lower one is not supported by anything seen. None if there is no
// such one, be it that there are too few pairs.
std::optional<float> choose_threshold(std::span<const JudgedPair> pairs, bool guarded,
                                      std::span<const float> thresholds, double max_error_rate);

// Pairs that differ in meaning without which no threshold can be shown to keep the bound (0 hits of them).
int fewest_pairs(double max_error_rate);

}  // namespace kvasir::cache
