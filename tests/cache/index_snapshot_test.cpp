#include "cache/index_snapshot.hpp"

#include "tests/cache/support.hpp"

#include <cmath>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

constexpr int wide = 16;
constexpr int rows = 1500;

class IndexSnapshot : public testing::Test {
 protected:
  IndexSnapshot() {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (int i = 0; i < rows; ++i) {
      std::vector<float> vector(wide);
      float squares = 0;
      for (float& x : vector) {
        x = normal(random);
        squares += x * x;
      }
      for (float& x : vector) x /= std::sqrt(squares);
      vectors_.push_back(vector);
    }
    std::filesystem::create_directories(folder_.store());
    PartitionIndex index(wide);
    fill(index);
    while (index.pending() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_GT(index.revision(), 0U);
    EXPECT_TRUE(save_index(file_, "minilm", index));
  }

  void fill(PartitionIndex& index) {
    records_.clear();
    for (int i = 0; i < rows; ++i) {
      Entry entry;
      entry.id = "kve-" + std::to_string(i);
      auto record = std::make_shared<Record>(std::move(entry));
      records_[record->entry.id] = record;
      index.insert(record, vectors_[static_cast<std::size_t>(i)]);
    }
  }
  std::size_t restored(const std::string& embedder = "minilm") {
    PartitionIndex index(wide);
    index.pause();
    fill(index);
    const std::size_t count = restore_index(file_, embedder, index, [this](const std::string& id) {
      const auto found = records_.find(id);
      return found == records_.end() ? nullptr : found->second;
    });
    int right = 0;
    for (int i = 0; i < rows; ++i) {
      const auto found = index.nearest({}, vectors_[static_cast<std::size_t>(i)], 1);
      right += found.front().record->entry.id == "kve-" + std::to_string(i) ? 1 : 0;
    }
    EXPECT_GE(right, rows - 5);
    return count;
  }
  std::string bytes() const {
    std::ostringstream out;
    out << std::ifstream(file_, std::ios::binary).rdbuf();
    return out.str();
  }
  void write(const std::string& bytes) const { std::ofstream(file_, std::ios::binary) << bytes; }

  TemporaryFolder folder_;
  std::string file_ = folder_.store() + "/index";
  std::vector<std::vector<float>> vectors_;
  std::map<std::string, RecordPtr> records_;
};

TEST_F(IndexSnapshot, IsReadBack) {
  EXPECT_EQ(restored(), 1U);
}

TEST_F(IndexSnapshot, OfAnotherEmbedderIsLeftOut) {
  EXPECT_EQ(restored("e5"), 0U);
}

TEST_F(IndexSnapshot, ThatIsDamagedOrCutIsLeftOut) {
  const std::string whole = bytes();
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{20}, std::size_t{27}, std::size_t{40}, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    write(damaged);
    EXPECT_EQ(restored(), 0U) << at;
    write(whole.substr(0, at));
    EXPECT_EQ(restored(), 0U) << at;
  }
}

TEST_F(IndexSnapshot, ThatIsNotThereIsNone) {
  std::filesystem::remove(file_);
  EXPECT_EQ(restored(), 0U);
}

TEST_F(IndexSnapshot, ThatCannotBeWrittenLeavesTheOldOne) {
  const std::string whole = bytes();
  std::filesystem::create_directory(file_ + ".new");
  EXPECT_FALSE(save_index(file_, "minilm", PartitionIndex(wide)));
  EXPECT_EQ(bytes(), whole);
}

// Through the cache: a restart finds the graph instead of making it.
TEST_F(IndexSnapshot, AReopenedCacheServesFromTheSavedGraph) {
  CacheSettings settings;
  settings.path = folder_.store() + "/cache";
  std::mt19937 random(5);
  const auto vector_of = [](int i) { return at_angle(360.0 * i / rows, 1 + static_cast<std::size_t>(i) % 2); };
  {
    const auto cache = open_cache(settings);
    for (int i = 0; i < rows; ++i)
      store(*cache, Asked("q" + std::to_string(i)).key(), answer(std::to_string(i)), {.vector = vector_of(i)});
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (cache->stats().graphs_pending > 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(cache->stats().graphs_pending, 0U);
  }
  EXPECT_TRUE(std::filesystem::exists(settings.path + "/index"));
  const auto cache = open_cache(settings);
  EXPECT_EQ(cache->stats().vectors, static_cast<std::uint64_t>(rows));
  const Decision found = cache->find_semantic(Asked("another").key(), vector_of(7), {{}, SemanticPolicy{0.9F, false}});
  ASSERT_TRUE(found.entry);
  EXPECT_GT(found.similarity.value_or(0), 0.9999F);
}

}  // namespace
}  // namespace kvasir::cache::test
