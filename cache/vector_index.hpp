// Nearest neighbours by inner product among the vectors of one partition.
//
// A FAISS flat index with our own distance: rows are scanned while they are few. A graph (faiss::IndexHNSW) can be laid
// over the same FlatIndex when they are many, for it asks its storage for the distance.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <faiss/IndexFlat.h>

namespace kvasir::cache {

// Scans on the calling thread; never starts OpenMP threads.
class FlatIndex final : public faiss::IndexFlatIP {
 public:
  explicit FlatIndex(idx_t dimension) : IndexFlatIP(dimension) {}

  void search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
              const faiss::SearchParameters* parameters = nullptr) const override;
  faiss::FlatCodesDistanceComputer* get_FlatCodesDistanceComputer() const override;

  // O(1): the last row takes the place of `row`.
  void remove_by_swap(idx_t row);
};

struct Neighbour {
  std::size_t row = 0;
  float similarity = 0.0F;
};

// Rows are numbered from 0 without holes. Not thread safe; concurrent nearest() calls are fine.
class VectorIndex {
 public:
  explicit VectorIndex(int dimension) : index_(dimension) {}

  std::size_t size() const { return static_cast<std::size_t>(index_.ntotal); }
  // `vector`: `dimension` floats. Returns its row.
  std::size_t add(std::span<const float> vector);
  // The last row is renumbered to `row`; the others keep their numbers.
  void remove(std::size_t row);
  // At most `count` rows, most similar first.
  std::vector<Neighbour> nearest(std::span<const float> query, std::size_t count) const;

 private:
  FlatIndex index_;
};

}  // namespace kvasir::cache
