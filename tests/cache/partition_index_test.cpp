#include "cache/partition_index.hpp"

#include "cache/inner_product.hpp"
#include "tests/cache/support.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

using Vector = std::vector<float>;

constexpr int wide = 24;

Vector random_vector(std::mt19937& random, std::size_t length) {
  std::normal_distribution<float> normal;
  Vector vector(length);
  for (float& x : vector) x = normal(random);
  return vector;
}

Vector unit(Vector vector) {
  const float norm = std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0F));
  for (float& x : vector) x /= norm;
  return vector;
}

Vector near(const Vector& vector, std::mt19937& random, float distance) {
  Vector moved = random_vector(random, vector.size());
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = vector[i] + distance * moved[i];
  return unit(std::move(moved));
}

rag::ContentId partition(int number) {
  return rag::ContentId::of(std::to_string(number));
}

RecordPtr record(const rag::ContentId& of, int number) {
  Entry entry;
  entry.id = std::to_string(number);
  entry.key.partition = of;
  return std::make_shared<Record>(std::move(entry));
}

// What it holds, in a list that is scanned.
struct Model {
  struct Row {
    RecordPtr record;
    Vector vector;
  };
  std::map<rag::ContentId, std::vector<Row>> partitions;

  float best(const rag::ContentId& of, const Vector& query) const {
    float most = -1e30F;
    const auto rows = partitions.find(of);
    if (rows == partitions.end()) return most;
    for (const Row& row : rows->second)
      most = std::max(most, inner_product()(query.data(), row.vector.data(), query.size()));
    return most;
  }
};

void wait_until(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(InnerProduct, AgreesWithDoublePrecisionAtEveryLength) {
  std::mt19937 random(7);
  for (std::size_t length = 0; length < 130; ++length) {
    const Vector a = random_vector(random, length);
    const Vector b = random_vector(random, length);
    const double exact = std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(),
                                            [](float x, float y) { return double{x} * double{y}; });
    EXPECT_NEAR(inner_product()(a.data(), b.data(), length), exact, 1e-4) << length;
  }
}

TEST(PartitionIndex, AnEmptyOneHasNoNeighbours) {
  const PartitionIndex index(4);
  EXPECT_TRUE(index.nearest(partition(0), Vector{1, 0, 0, 0}, 3).empty());
}

TEST(PartitionIndex, GivesTheNearestOfThePartitionFirstAndNoMoreThanAsked) {
  PartitionIndex index(2);
  index.insert(record(partition(0), 0), Vector{0.0F, 1.0F});
  index.insert(record(partition(0), 1), Vector{1.0F, 0.0F});
  index.insert(record(partition(0), 2), Vector{0.6F, 0.8F});
  index.insert(record(partition(1), 3), Vector{1.0F, 0.0F});
  const auto found = index.nearest(partition(0), Vector{1.0F, 0.0F}, 2);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].record->entry.id, "1");
  EXPECT_FLOAT_EQ(found[0].similarity, 1.0F);
  EXPECT_EQ(found[1].record->entry.id, "2");
  EXPECT_EQ(index.partitions(), 2U);
}

TEST(PartitionIndex, NotANumberIsNearNothing) {
  PartitionIndex index(2);
  const float nan = std::nanf("");
  index.insert(record(partition(0), 0), Vector{nan, nan});
  index.insert(record(partition(0), 1), Vector{1.0F, 0.0F});
  const auto found = index.nearest(partition(0), Vector{1.0F, 0.0F}, 2);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].record->entry.id, "1");
  EXPECT_TRUE(index.nearest(partition(0), Vector{nan, nan}, 2).empty());
}

TEST(PartitionIndex, SmallPartitionsAreRightWhateverWasAddedAndRemoved) {
  std::mt19937 random(11);
  PartitionIndex index(wide);
  Model model;
  for (int step = 0; step < 3000; ++step) {
    const rag::ContentId of = partition(static_cast<int>(random() % 5));
    auto& rows = model.partitions[of];
    if (!rows.empty() && random() % 3 == 0) {
      const std::size_t row = random() % rows.size();
      index.remove(*rows[row].record);
      rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(row));
    } else {
      rows.push_back({record(of, step), random_vector(random, wide)});
      index.insert(rows.back().record, rows.back().vector);
    }
    const Vector query = random_vector(random, wide);
    const auto found = index.nearest(of, query, 5);
    ASSERT_EQ(found.size(), std::min<std::size_t>(rows.size(), 5));
    if (!found.empty()) {
      EXPECT_FLOAT_EQ(found.front().similarity, model.best(of, query));
    }
  }
  for (const auto& [of, rows] : model.partitions)
    for (const auto& row : rows) index.remove(*row.record);
  EXPECT_EQ(index.partitions(), 0U);
  EXPECT_EQ(index.vectors(), 0U);
}

// Graphs come and go while rows are added and removed.
TEST(PartitionIndex, LargePartitionsFindWhatIsNearWhateverWasAddedAndRemoved) {
  std::mt19937 random(13);
  PartitionIndex index(wide, {.tail = 64, .scanned = 100'000});
  Model model;
  const rag::ContentId of = partition(1);
  auto& rows = model.partitions[of];
  int right = 0;
  int asked = 0;
  for (int step = 0; step < 12'000; ++step) {
    const bool shrink = step > 6000 && random() % 10 < 7;
    if (!rows.empty() && (shrink || random() % 4 == 0)) {
      const std::size_t row = random() % rows.size();
      index.remove(*rows[row].record);
      rows[row] = rows.back();
      rows.pop_back();
    } else {
      rows.push_back({record(of, step), unit(random_vector(random, wide))});
      index.insert(rows.back().record, rows.back().vector);
    }
    if (step % 20 != 0 || rows.empty()) continue;
    const Vector query = near(rows[random() % rows.size()].vector, random, 0.05F);
    const auto found = index.nearest(of, query, 16);
    ASSERT_FALSE(found.empty());
    ++asked;
    right += found.front().similarity >= model.best(of, query) - 1e-6F ? 1 : 0;
    std::set<RecordPtr> distinct;
    for (const auto& candidate : found) {
      EXPECT_TRUE(distinct.insert(candidate.record).second) << "found twice";
      EXPECT_TRUE(candidate.record->slot) << "it was removed";
    }
  }
  EXPECT_GE(right, asked * 99 / 100) << "of " << asked;
  EXPECT_EQ(index.vectors(), rows.size());
  for (const auto& row : rows) index.remove(*row.record);
  EXPECT_TRUE(index.nearest(of, unit(random_vector(random, wide)), 3).empty());
  wait_until([&] { return index.partitions() == 0; });
}

TEST(PartitionIndex, ALongTailIsLinkedInTheEnd) {
  std::mt19937 random(17);
  PartitionIndex index(wide, {.tail = 64, .scanned = 64});
  const rag::ContentId of = partition(1);
  std::vector<Vector> vectors;
  for (int i = 0; i < 3000; ++i) {
    vectors.push_back(unit(random_vector(random, wide)));
    index.insert(record(of, i), vectors.back());
  }
  wait_until([&] { return index.pending() == 0; });
  int found = 0;
  for (const Vector& vector : vectors) found += index.nearest(of, vector, 1).front().similarity > 0.9999F ? 1 : 0;
  EXPECT_GE(found, 2990);
}

TEST(PartitionIndex, SearchesGoOnWhileRowsComeAndGo) {
  PartitionIndex index(wide, {.tail = 32, .scanned = 1000});
  std::atomic<bool> over{false};
  std::vector<std::thread> searchers;
  for (unsigned seed = 0; seed < 3; ++seed) {
    searchers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      while (!over) {
        const auto of = partition(static_cast<int>(random() % 3));
        for (const auto& candidate : index.nearest(of, random_vector(random, wide), 8))
          EXPECT_EQ(candidate.record->entry.key.partition, of);
      }
    });
  }
  std::mt19937 random(99);
  std::vector<RecordPtr> live;
  for (int step = 0; step < 6000; ++step) {
    if (live.size() > 600 || (!live.empty() && random() % 3 == 0)) {
      const std::size_t row = random() % live.size();
      index.remove(*live[row]);
      live[row] = live.back();
      live.pop_back();
    } else {
      live.push_back(record(partition(static_cast<int>(random() % 3)), step));
      index.insert(live.back(), random_vector(random, wide));
    }
  }
  over = true;
  for (auto& searcher : searchers) searcher.join();
  EXPECT_EQ(index.vectors(), live.size());
}

// A graph that was saved, and what became of its rows since.
class RestoredGraph : public testing::Test {
 protected:
  void SetUp() override {
    PartitionIndex first(wide, {.tail = 64, .scanned = 100'000});
    for (int i = 0; i < 2000; ++i) {
      vectors_.push_back(unit(random_vector(random_, wide)));
      first.insert(record(of_, i), vectors_.back());
    }
    wait_until([&] { return first.pending() == 0; });
    first.save([&](PartitionIndex::Saved saved) { saved_ = std::move(saved); });
  }

  // Every `kept`-th row comes back.
  std::unique_ptr<PartitionIndex> reopened(int kept, PartitionIndex::Saved& saved) {
    auto index = std::make_unique<PartitionIndex>(wide, PartitionIndex::Limits{.tail = 64, .scanned = 100'000});
    index->pause();
    saved = saved_;
    for (RecordPtr& node : saved.records) {
      if (!node) continue;
      const int number = std::stoi(node->entry.id);
      const bool comes = number % kept != 0 || kept == 1;
      node = comes ? record(of_, number) : nullptr;
      if (node) index->insert(node, vectors_[static_cast<std::size_t>(number)]);
    }
    return index;
  }

  std::mt19937 random_{23};
  const rag::ContentId of_ = partition(1);
  std::vector<Vector> vectors_;
  PartitionIndex::Saved saved_;
};

TEST_F(RestoredGraph, FindsWhatItFound) {
  for (const int kept : {1, 10, 2}) {
    PartitionIndex::Saved saved;
    const auto index = reopened(kept, saved);
    EXPECT_TRUE(index->restore(saved));
    index->resume();
    int right = 0;
    int asked = 0;
    for (int i = 0; i < 2000; ++i) {
      if (kept > 1 && i % kept == 0) continue;
      const auto found = index->nearest(of_, vectors_[static_cast<std::size_t>(i)], 3);
      ++asked;
      right += !found.empty() && found.front().record->entry.id == std::to_string(i) ? 1 : 0;
    }
    EXPECT_GE(right, asked * 98 / 100) << kept << " " << asked;
  }
}

TEST_F(RestoredGraph, DamagedLinksAreRefused) {
  PartitionIndex::Saved saved;
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, saved_.links.size() - 1, saved_.links.size() + 1}) {
    const auto index = reopened(1, saved);
    saved.links.resize(size);
    EXPECT_FALSE(index->restore(saved)) << size;
  }
  for (std::size_t at = 0; at + 4 <= saved_.links.size(); at += 4 * 997) {
    const auto index = reopened(1, saved);
    for (std::size_t i = 0; i < 4; ++i) saved.links[at + i] = '\x7e';
    EXPECT_FALSE(index->restore(saved)) << at;
    index->resume();
    EXPECT_FALSE(index->nearest(of_, vectors_[0], 1).empty());
  }
}

}  // namespace
}  // namespace kvasir::cache::test
