#include "gateway/trace_context.hpp"

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

// The example of the recommendation.
constexpr const char* kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr const char* kHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, goes_on_with_the_callers_trace_in_a_span_of_its_own) {
  const TraceContext context = TraceContext::continue_from(kHeader);
  EXPECT_EQ(context.trace_id, kTrace);
  EXPECT_EQ(context.parent_id, "00f067aa0ba902b7");
  EXPECT_NE(context.span_id, context.parent_id);
  EXPECT_EQ(context.traceparent(), "00-" + std::string(kTrace) + "-" + context.span_id + "-01");
}

TEST(TraceContext, takes_a_later_version_for_what_it_shares_with_this_one) {
  const std::string later = "cc" + std::string(kHeader).substr(2);
  EXPECT_EQ(TraceContext::continue_from(later).trace_id, kTrace);
  EXPECT_EQ(TraceContext::continue_from(later + "-more").trace_id, kTrace);
  EXPECT_EQ(TraceContext::continue_from(later).traceparent().substr(0, 3), "00-");
}

TEST(TraceContext, begins_a_new_trace_where_there_is_no_valid_one) {
  for (const std::string header : {"", "00", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                   "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                   "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                   "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                                   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
                                   "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
                                   "ccc4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"}) {
    const TraceContext context = TraceContext::continue_from(header);
    EXPECT_EQ(context.trace_id.size(), 32U) << header;
    EXPECT_NE(context.trace_id, kTrace) << header;
    EXPECT_EQ(context.parent_id, "") << header;
    EXPECT_EQ(TraceContext::continue_from(context.traceparent()).trace_id, context.trace_id)
        << "its own header is valid";
  }
}

}  // namespace
}  // namespace kvasir::gateway
