#include "cache/vector_index.hpp"

#include "cache/inner_product.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>

#include <faiss/impl/DistanceComputer.h>
#include <faiss/utils/Heap.h>

namespace kvasir::cache {
namespace {

class InnerProductComputer final : public faiss::FlatCodesDistanceComputer {
 public:
  explicit InnerProductComputer(const FlatIndex& index)
      : FlatCodesDistanceComputer(index.codes.data(), index.code_size), dimension_(static_cast<std::size_t>(index.d)) {}

  void set_query(const float* query) override { query_ = query; }
  float distance_to_code(const std::uint8_t* code) override { return product_(query_, as_floats(code), dimension_); }
  float symmetric_dis(idx_t a, idx_t b) override { return product_(row(a), row(b), dimension_); }

 private:
  static const float* as_floats(const std::uint8_t* code) { return reinterpret_cast<const float*>(code); }
  const float* row(idx_t number) const { return as_floats(codes + static_cast<std::size_t>(number) * code_size); }

  InnerProduct product_ = inner_product();
  std::size_t dimension_;
  const float* query_ = nullptr;
};

}  // namespace

void FlatIndex::search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
                       const faiss::SearchParameters* /*parameters*/) const {
  using WorstOnTop = faiss::CMin<float, idx_t>;
  const InnerProduct product = inner_product();
  const auto dimension = static_cast<std::size_t>(d);
  const auto kept = static_cast<std::size_t>(k);
  for (idx_t query = 0; query < n; ++query) {
    const float* vector = x + query * d;
    float* best = distances + query * k;
    idx_t* best_rows = labels + query * k;
    faiss::heap_heapify<WorstOnTop>(kept, best, best_rows);
    const float* row = get_xb();
    for (idx_t number = 0; number < ntotal; ++number, row += dimension) {
      const float similarity = product(vector, row, dimension);
      if (similarity > best[0]) faiss::heap_replace_top<WorstOnTop>(kept, best, best_rows, similarity, number);
    }
    faiss::heap_reorder<WorstOnTop>(kept, best, best_rows);
  }
}

// FAISS takes ownership of what this returns.
faiss::FlatCodesDistanceComputer* FlatIndex::get_FlatCodesDistanceComputer() const {
  return std::make_unique<InnerProductComputer>(*this).release();
}

void FlatIndex::remove_by_swap(idx_t row) {
  assert(row >= 0 && row < ntotal);
  const idx_t last = ntotal - 1;
  if (row != last) {
    std::memcpy(codes.data() + static_cast<std::size_t>(row) * code_size,
                codes.data() + static_cast<std::size_t>(last) * code_size, code_size);
  }
  codes.resize(static_cast<std::size_t>(last) * code_size);
  ntotal = last;
}

std::size_t VectorIndex::add(std::span<const float> vector) {
  assert(vector.size() == static_cast<std::size_t>(index_.d));
  index_.add(1, vector.data());
  return size() - 1;
}

void VectorIndex::remove(std::size_t row) {
  index_.remove_by_swap(static_cast<faiss::Index::idx_t>(row));
}

std::vector<Neighbour> VectorIndex::nearest(std::span<const float> query, std::size_t count) const {
  assert(query.size() == static_cast<std::size_t>(index_.d));
  const std::size_t found = std::min(count, size());
  if (found == 0) return {};
  std::vector<float> similarities(found);
  std::vector<faiss::Index::idx_t> rows(found);
  index_.search(1, query.data(), static_cast<faiss::Index::idx_t>(found), similarities.data(), rows.data());
  std::vector<Neighbour> neighbours;
  neighbours.reserve(found);
  for (std::size_t i = 0; i < found; ++i) {
    // NaN never enters the heap and leaves its place empty.
    if (rows[i] >= 0) neighbours.push_back({static_cast<std::size_t>(rows[i]), similarities[i]});
  }
  return neighbours;
}

}  // namespace kvasir::cache
