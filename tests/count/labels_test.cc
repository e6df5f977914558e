#include "libhongbao/count/labels.h"

#include <gtest/gtest.h>

namespace hongbao::count {
namespace {

enum class Counter { kRequests, kReceivedFen, kP99Us, kCount };

constexpr auto kLabels = LabelsOf<Counter>();
static_assert(kLabels.size() == 3);
static_assert(kLabels[1].id == Counter::kReceivedFen);

// The prototype added received envelopes to its column of requests: a label cannot be another counter's here.
TEST(LabelsTest, Defect09_ALabelIsTheCountersOwnName) {
  EXPECT_EQ(kLabels[0].name, "requests");
  EXPECT_EQ(kLabels[1].name, "received_fen");
  EXPECT_EQ(kLabels[2].name, "p99_us");
  Cells<Counter> cells;
  cells.Add(Counter::kReceivedFen);
  for (const Label<Counter>& label : kLabels) {
    EXPECT_EQ(cells.Get(label.id), label.name == "received_fen" ? 1u : 0u) << label.name;
  }
}

}  // namespace
}  // namespace hongbao::count
