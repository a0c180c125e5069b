#include "cache/vector_index.hpp"

#include "cache/inner_product.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include <faiss/impl/DistanceComputer.h>
#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

using Vector = std::vector<float>;

Vector random_vector(std::mt19937& random, std::size_t dimension) {
  std::normal_distribution<float> normal;
  Vector vector(dimension);
  for (float& x : vector) x = normal(random);
  return vector;
}

double exact_product(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(),
                            [](float x, float y) { return double{x} * double{y}; });
}

TEST(InnerProduct, AgreesWithDoublePrecisionAtEveryLength) {
  std::mt19937 random(7);
  for (std::size_t length = 0; length < 130; ++length) {
    const Vector a = random_vector(random, length);
    const Vector b = random_vector(random, length);
    EXPECT_NEAR(inner_product()(a.data(), b.data(), length), exact_product(a, b), 1e-4) << length;
  }
}

TEST(VectorIndex, AnEmptyIndexHasNoNeighbours) {
  const VectorIndex index(4);
  EXPECT_TRUE(index.nearest(Vector{1, 0, 0, 0}, 3).empty());
}

TEST(VectorIndex, GivesTheNearestFirstAndNoMoreThanAsked) {
  VectorIndex index(2);
  index.add(Vector{0.0F, 1.0F});
  index.add(Vector{1.0F, 0.0F});
  index.add(Vector{0.6F, 0.8F});
  const std::vector<Neighbour> found = index.nearest(Vector{1.0F, 0.0F}, 2);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].row, 1U);
  EXPECT_FLOAT_EQ(found[0].similarity, 1.0F);
  EXPECT_EQ(found[1].row, 2U);
}

TEST(VectorIndex, IsRightWhateverWasAddedAndRemoved) {
  constexpr std::size_t dimension = 37;
  std::mt19937 random(11);
  VectorIndex index(dimension);
  std::vector<Vector> rows;
  for (int step = 0; step < 600; ++step) {
    if (!rows.empty() && random() % 3 == 0) {
      const std::size_t row = random() % rows.size();
      index.remove(row);
      rows[row] = rows.back();
      rows.pop_back();
    } else {
      rows.push_back(random_vector(random, dimension));
      EXPECT_EQ(index.add(rows.back()), rows.size() - 1);
    }
    ASSERT_EQ(index.size(), rows.size());
    if (rows.empty()) continue;
    const Vector query = random_vector(random, dimension);
    const auto best = std::ranges::max_element(
        rows, {}, [&](const Vector& row) { return inner_product()(query.data(), row.data(), dimension); });
    EXPECT_EQ(index.nearest(query, 5).front().row, static_cast<std::size_t>(best - rows.begin()));
  }
}

// A graph index over this storage asks it for distances.
TEST(VectorIndex, ItsStorageComputesDistancesForOtherFaissIndexes) {
  FlatIndex storage(3);
  const Vector rows = {1, 2, 3, 4, 5, 6};
  storage.add(2, rows.data());
  const std::unique_ptr<faiss::DistanceComputer> distance(storage.get_distance_computer());
  const Vector query = {1, 1, 1};
  distance->set_query(query.data());
  EXPECT_FLOAT_EQ((*distance)(1), 15.0F);
  EXPECT_FLOAT_EQ(distance->symmetric_dis(0, 1), 32.0F);
}

}  // namespace
}  // namespace kvasir::cache
