// The graphs of the index in a file beside the store: derived, but dear to make again.
#pragma once

#include "cache/partition_index.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace kvasir::cache {

// Writes the graphs of `index` into `file`, whole or not at all. `embedder`: whose vectors they link.
bool save_index(const std::string& file, const std::string& embedder, const PartitionIndex& index);
// Gives partitions of `index` their graphs back; `find`: the record of an id that has a vector, or null. Returns how
// many. What is damaged, of another embedder or unknown is left out, and made anew by the index itself.
std::size_t restore_index(const std::string& file, const std::string& embedder, PartitionIndex& index,
                          const std::function<RecordPtr(const std::string& id)>& find);

// Saves the graphs on a thread of its own, every few minutes in which they changed, and at the end.
class IndexKeeper {
 public:
  IndexKeeper(std::string file, std::string embedder, const PartitionIndex& index, std::chrono::seconds period);
  ~IndexKeeper();
  IndexKeeper(const IndexKeeper&) = delete;
  IndexKeeper& operator=(const IndexKeeper&) = delete;

 private:
  void work();
  void save();

  const std::string file_;
  const std::string embedder_;
  const PartitionIndex& index_;
  const std::chrono::seconds period_;
  std::uint64_t saved_ = 0;  // revision
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kvasir::cache
