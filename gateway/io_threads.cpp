#include "gateway/io_threads.hpp"

namespace kvasir::gateway {

IoThreads::IoThreads(int count) {
  for (int i = 0; i < count; ++i) {
    contexts_.push_back(std::make_unique<asio::io_context>(1));
    guards_.emplace_back(contexts_.back()->get_executor());
  }
}

IoThreads::~IoThreads() {
  stop();
}

void IoThreads::start() {
  for (auto& context : contexts_) threads_.emplace_back([&context = *context] { context.run(); });
}

void IoThreads::stop() {
  for (auto& context : contexts_) context->stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace kvasir::gateway
