#include "libhongbao/watch/sampler.h"

#include <gtest/gtest.h>

namespace hongbao::watch {
namespace {

TEST(SamplerTest, MeasuresFromOneCallToTheNext) {
  time::FakeClock clock{1'486'824'165 * time::kNsPerSecond};
  Sampler sampler(clock);
  EXPECT_EQ(sampler.Take().cpu_percent, 0) << "no time has passed";
  ProcessStats stats = ReadProcessStats();
  for (const double begun = stats.user_s + stats.system_s; stats.user_s + stats.system_s < begun + 0.02;) {
    stats = ReadProcessStats();
  }
  clock.Advance(time::kNsPerSecond);
  const Sample busy = sampler.Take();
  EXPECT_GT(busy.cpu_percent, 1.9);
  EXPECT_GT(busy.rss_bytes, 0);
}

TEST(SamplerTest, OfTwoSamplesProcessorTimeIsWeighedAndTheMostMemoryStands) {
  Sample into{.cpu_percent = 10, .rss_bytes = 7, .network = {.rx_packets = 1}};
  MergeSamples(into, 3, {.cpu_percent = 50, .rss_bytes = 5, .network = {.rx_packets = 2}}, 1);
  EXPECT_EQ(into.cpu_percent, 20);
  EXPECT_EQ(into.rss_bytes, 7);
  EXPECT_EQ(into.network.rx_packets, 2) << "of the newest second";
}

}  // namespace
}  // namespace hongbao::watch
