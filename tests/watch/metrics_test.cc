#include "libhongbao/watch/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hongbao::watch {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

count::HistogramSnapshot Recorded(const std::vector<int64_t>& values_ns) {
  auto histogram = std::make_unique<count::Histogram>();
  for (const int64_t value_ns : values_ns) {
    histogram->Record(value_ns);
  }
  return histogram->Snapshot();
}

std::string TextOf(const http::Response& response) { return response.body; }

MetricsPage PageWith(Families families) {
  MetricsPage page("test");
  page.Add(Collects([families = std::move(families)] { return families; }));
  return page;
}

http::Request Scrape(const std::string& accept = "") { return {"GET", "/metrics", {}, "", {{"accept", accept}}}; }

TEST(MetricsTest, BucketsAreSixteenIn125Steps) {
  const std::vector<int64_t> bounds = BucketBoundsNs();
  ASSERT_EQ(bounds.size(), 16U);
  EXPECT_EQ(bounds.front(), 100'000);
  EXPECT_EQ(bounds[1], 200'000);
  EXPECT_EQ(bounds[2], 500'000);
  EXPECT_EQ(bounds[3], 1'000'000);
  EXPECT_EQ(bounds.back(), 10'000'000'000);
}

TEST(MetricsTest, AHistogramsBucketsAreCumulativeAndEndWithAll) {
  const prometheus::MetricFamily family =
      HistogramOf("x_seconds", "X.", Recorded({50'000, 150'000, 150'000, 3'000'000, 20'000'000'000}));
  const auto& histogram = family.metric.at(0).histogram;
  ASSERT_EQ(histogram.bucket.size(), 17U);
  EXPECT_EQ(histogram.bucket[0].cumulative_count, 1U);   // 100 us
  EXPECT_EQ(histogram.bucket[1].cumulative_count, 3U);   // 200 us
  EXPECT_EQ(histogram.bucket[4].cumulative_count, 3U);   // 2 ms
  EXPECT_EQ(histogram.bucket[5].cumulative_count, 4U);   // 5 ms
  EXPECT_EQ(histogram.bucket[15].cumulative_count, 4U);  // 10 s
  EXPECT_EQ(histogram.bucket[16].cumulative_count, 5U);
  EXPECT_EQ(histogram.sample_count, 5U);
  EXPECT_DOUBLE_EQ(histogram.sample_sum, 20.00335);
}

TEST(MetricsTest, NothingLooksFasterThanItWas) {
  for (const int64_t bound_ns : BucketBoundsNs()) {
    const prometheus::MetricFamily family = HistogramOf("x_seconds", "X.", Recorded({bound_ns + 1}));
    for (const auto& bucket : family.metric.at(0).histogram.bucket) {
      if (bucket.upper_bound * 1e9 <= static_cast<double>(bound_ns)) {
        EXPECT_EQ(bucket.cumulative_count, 0U) << bound_ns;
      }
    }
  }
}

TEST(MetricsTest, AnEmptyHistogramIsThere) {
  const prometheus::MetricFamily family = HistogramOf("x_seconds", "X.", {});
  EXPECT_EQ(family.metric.at(0).histogram.bucket.size(), 17U);
  EXPECT_EQ(family.metric.at(0).histogram.sample_count, 0U);
}

TEST(MetricsTest, TheTextFormatHasWholeNumbersWhole) {
  const MetricsPage page = PageWith({CounterOf("a_fen_total", "A.", uint64_t{8'999'999'999'999'999}),
                                     CounterOf("b_total", "B.", {With("why", "x", 0), With("why", "y", 7)})});
  const http::Response response = page.Answer(Scrape());
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(TextOf(response), HasSubstr("# HELP a_fen_total A.\n# TYPE a_fen_total counter\na_fen_total 8999999999999999\n"));
  EXPECT_THAT(TextOf(response), HasSubstr("b_total{why=\"x\"} 0\nb_total{why=\"y\"} 7\n"));
  EXPECT_THAT(TextOf(response), Not(HasSubstr("# EOF")));
}

TEST(MetricsTest, EveryProcessTellsOfItself) {
  const std::string text = TextOf(MetricsPage("server").Answer(Scrape()));
  EXPECT_THAT(text, ContainsRegex("hongbao_build_info"
                                  "\\{version=\"[0-9.]+\",commit=\"[0-9a-z]+\",compiler=\"[^\"]+\",role=\"server\"\\} 1\n"));
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_start_time_seconds", "process_threads"}) {
    EXPECT_THAT(text, ContainsRegex(std::string("\n") + name + " [0-9.e+]+\n"));
  }
}

TEST(MetricsTest, OpenMetricsNamesFamiliesWithoutTotalAndSaysUnits) {
  const std::string text = OpenMetricsText({CounterOf("a_fen_total", "A \"quoted\" \\ help.", {With("kind", "say \"x\"\n", 3)}),
                                            GaugeOf("b", "B.", 0.25), GaugeOf("c_info", "C.", {{{{"v", "1"}}, 1}})});
  EXPECT_EQ(text,
            "# TYPE a_fen counter\n# UNIT a_fen fen\n# HELP a_fen A \\\"quoted\\\" \\\\ help.\n"
            "a_fen_total{kind=\"say \\\"x\\\"\\n\"} 3\n"
            "# TYPE b gauge\n# HELP b B.\nb 0.25\n"
            "# TYPE c info\n# HELP c C.\nc_info{v=\"1\"} 1\n"
            "# EOF\n");
}

TEST(MetricsTest, OpenMetricsHistogramsHaveCanonicalBounds) {
  const std::string text = OpenMetricsText({HistogramOf("x_seconds", "X.", Recorded({1'500'000'000}))});
  EXPECT_THAT(text, HasSubstr("x_seconds_bucket{le=\"0.0001\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("x_seconds_bucket{le=\"1.0\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("x_seconds_bucket{le=\"2.0\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("x_seconds_bucket{le=\"10.0\"} 1\n"
                              "x_seconds_bucket{le=\"+Inf\"} 1\nx_seconds_count 1\nx_seconds_sum 1.5\n"));
}

TEST(MetricsTest, ClosesHaveAReasonAndACause) {
  const std::string text = OpenMetricsText({ClosedConnectionsOf(
      {{"none", 9}, {"peer", 1}, {"reset", 2}, {"idle", 3}, {"malformed", 4}, {"superseded", 5}, {"drain", 6}})});
  for (const char* line : {"{reason=\"peer\",cause=\"peer\"} 1\n", "{reason=\"peer\",cause=\"reset\"} 2\n",
                           "{reason=\"idle\",cause=\"idle\"} 3\n", "{reason=\"error\",cause=\"malformed\"} 4\n",
                           "{reason=\"superseded\",cause=\"superseded\"} 5\n", "{reason=\"shutdown\",cause=\"drain\"} 6\n"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\nhongbao_connections_closed_total") + line));
  }
  EXPECT_THAT(text, Not(HasSubstr("none")));
}

TEST(MetricsTest, AcceptDecidesTheFormat) {
  const std::string prometheus_2 =
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  const std::string prometheus_3 =
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
      "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
  EXPECT_TRUE(WantsOpenMetrics(prometheus_2));
  EXPECT_TRUE(WantsOpenMetrics(prometheus_3));
  EXPECT_TRUE(WantsOpenMetrics("APPLICATION/OpenMetrics-Text ; Version=1.0.0"));
  for (const char* accept : {"", "*/*", "text/plain", "text/html,*/*;q=0.8", "application/openmetrics-text;version=0.0.1",
                             "application/openmetrics-text;q=0", "application/openmetrics-text;q=zero",
                             "application/openmetrics-text;q=0.2,text/plain;q=0.9", ";;;=,,q="}) {
    EXPECT_FALSE(WantsOpenMetrics(accept)) << accept;
  }
}

TEST(MetricsTest, TheAnswerSaysWhichFormatItIs) {
  const MetricsPage page = PageWith({GaugeOf("b", "B.", 1)});
  const http::Response response = page.Answer(Scrape("application/openmetrics-text;version=1.0.0"));
  EXPECT_EQ(response.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_THAT(TextOf(response), HasSubstr("\nb 1\n# EOF\n"));
  EXPECT_THAT(TextOf(response), HasSubstr("# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n"));
}

TEST(MetricsTest, SourcesAreAskedAtEveryScrape) {
  MetricsPage page("test");
  uint64_t scrapes = 0;
  page.Add(Collects([&scrapes] { return Families{CounterOf("scrapes_total", "S.", ++scrapes)}; }));
  EXPECT_THAT(TextOf(page.Answer(Scrape())), HasSubstr("scrapes_total 1\n"));
  EXPECT_THAT(TextOf(page.Answer(Scrape())), HasSubstr("scrapes_total 2\n"));
}

}  // namespace
}  // namespace hongbao::watch
