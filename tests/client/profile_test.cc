#include "client/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "tests/test_folder.h"

namespace hongbao::client {
namespace {

using Point = Profile::Point;
using Step = Profile::Step;
using testing::ElementsAre;
using testing::HasSubstr;

Profile Of(const std::string& text) { return LoadProfile(text, {}).value(); }
std::string Error(const std::string& text, const ProfileScale& scale = {}) {
  const auto profile = LoadProfile(text, scale);
  EXPECT_FALSE(profile.ok()) << text;
  return std::string(profile.status().message());
}

TEST(Profile, IsLinearBetweenItsPoints) {
  const Profile profile = Of("0s:0,30s:60k,5m:60k,5m10s:140k");
  EXPECT_EQ(profile.seconds(), 310);
  EXPECT_EQ(profile.QpsAt(0), 0u);
  EXPECT_EQ(profile.QpsAt(1), 2'000u);
  EXPECT_EQ(profile.QpsAt(29), 58'000u);
  EXPECT_EQ(profile.QpsAt(30), 60'000u);
  EXPECT_EQ(profile.QpsAt(299), 60'000u);
  EXPECT_EQ(profile.QpsAt(309), 132'000u);
  EXPECT_EQ(profile.QpsAt(310), 140'000u) << "behind the last point its rate stands";
  EXPECT_EQ(profile.QpsAt(100'000), 140'000u);
  EXPECT_EQ(profile.Peak(310), 132'000u);
  EXPECT_EQ(profile.Requests(3), 6'000u);
}

TEST(Profile, RoundsToTheNearest) {
  const Profile profile = Of("0s:0,3s:1,4s:0");
  EXPECT_EQ(profile.QpsAt(1), 0u);  // 1/3
  EXPECT_EQ(profile.QpsAt(2), 1u);  // 2/3
  const Profile down = Of("0s:10,4s:0");
  EXPECT_EQ(down.QpsAt(1), 8u);  // 7.5
}

TEST(Profile, TheSameTimeTwiceIsAJump) {
  const Profile profile = Of("0s:100,10s:100,10s:500,20s:500,20s:0");
  EXPECT_EQ(profile.QpsAt(9), 100u);
  EXPECT_EQ(profile.QpsAt(10), 500u);
  EXPECT_EQ(profile.QpsAt(20), 0u);
  EXPECT_THAT(profile.Steps(30).value(), ElementsAre(Step{0, 100}, Step{10, 500}, Step{20, 0}));
  EXPECT_THAT(profile.Steps(15).value(), ElementsAre(Step{0, 100}, Step{10, 500}));
}

TEST(Profile, OnePointIsOneRate) {
  const Profile profile = Of("0s:7");
  EXPECT_EQ(profile.seconds(), 0);
  EXPECT_EQ(profile.Requests(10), 70u);
  EXPECT_THAT(profile.Steps(10).value(), ElementsAre(Step{0, 7}));
}

TEST(Profile, SaysWhatIsWrong) {
  EXPECT_THAT(Error("5s:1,6s:2"), HasSubstr("has to be at 0s"));
  EXPECT_THAT(Error("0s:1,6s:2,5s:3"), HasSubstr("the point at 5s comes behind the one at 6s"));
  EXPECT_THAT(Error("0s:1,5s:2,5s:3,5s:4"), HasSubstr("three points at 5s"));
  EXPECT_THAT(Error("0s:1,1500ms:2"), HasSubstr("whole seconds"));
  EXPECT_THAT(Error("0s:1,5:2"), HasSubstr("has no unit"));
  EXPECT_THAT(Error("0s:1,25h:2"), HasSubstr("24h"));
  EXPECT_THAT(Error("0s:1,23h99h:2"), HasSubstr("24h"));
  EXPECT_THAT(Error("0s:2G"), HasSubstr("at most"));
  EXPECT_THAT(Error("0s:-1"), HasSubstr("'0s:-1'"));
  EXPECT_THAT(Error("0s:1,"), HasSubstr("TIME:QPS"));
  EXPECT_THAT(Error("0s:1:2"), HasSubstr("'0s:1:2'"));
  EXPECT_THAT(Error(":"), HasSubstr("':'"));
  EXPECT_THAT(Error("gala2016"), HasSubstr("want gala2015, a file, or points"));
  EXPECT_THAT(Error("0s:1", {.peak = 5}), HasSubstr("without --qps"));
  EXPECT_THAT(Error("/"), HasSubstr("is no file"));
}

TEST(Profile, AFileHasAPointALine) {
  const TestFolder folder;
  const std::string path = folder.File("p");
  std::ofstream(path) << "# a comment\n0s 0\n\n 10s:1k   # the top\r\n\t20s\t1k\n";
  EXPECT_EQ(Of(path).Requests(20), Of("0s:0,10s:1k,20s:1k").Requests(20));
  std::ofstream(path) << "0s 0\n10s\n";
  EXPECT_THAT(Error(path), HasSubstr("line 2: '10s': want TIME QPS"));
  std::ofstream(path) << "# nothing\n";
  EXPECT_THAT(Error(path), HasSubstr("at least one point"));
}

TEST(Profile, ASeriesIsReplayed) {
  const TestFolder folder;
  const std::string path = folder.File("series.csv");
  std::ofstream(path) << "unix_s,role,host,users,target,sent\n"
                         "100,client,a,5,0,0\n101,server,s,5,,9\n101,client,a,5,10,9\n101,client,b,5,11,9\n"
                         "102,client,a,5,30,9\n104,client,b,5,40,9\n105,client,b,5,0,9\n";
  const Profile profile = Of(path);
  EXPECT_EQ(profile.seconds(), 4);
  EXPECT_THAT(profile.Steps(9).value(), ElementsAre(Step{0, 21}, Step{1, 30}, Step{2, 0}, Step{3, 40}, Step{4, 0}));
  for (const char* wrong :
       {"unix_s,sent\n1,2\n", "unix_s,target\n", "unix_s,target\n1,2,3\n", "unix_s,target\nx,2\n", "unix_s,target\n1,-2\n",
        "unix_s,target\n1,2\n100000,2\n", "unix_s,target\n1,9999999999\n", "unix_s,target\n1,600000000\n1,600000000\n"}) {
    std::ofstream(path) << wrong;
    EXPECT_THAT(Error(path), HasSubstr(path)) << wrong;
  }
}

// The definition, in long double: the value at the second's start, rounded; and steps that are the same curve.
TEST(Profile, RandomCurvesAreWhatTheyAreByDefinition) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 500; ++round) {
    std::vector<Point> points = {{0, static_cast<uint32_t>(random() % 1'000)}};
    const int count = static_cast<int>(random() % 8);
    for (int i = 0; i < count; ++i) {
      const bool jump = random() % 3 == 0 && (points.size() == 1 || points[points.size() - 2].second != points.back().second);
      points.push_back({points.back().second + (jump ? 0 : 1 + static_cast<int64_t>(random() % 50)),
                        static_cast<uint32_t>(random() % (round % 2 == 0 ? 1'000'000'001 : 10))});
    }
    const Profile profile = Profile::FromPoints(points).value();
    const int64_t length = points.back().second + 5;
    uint64_t sum = 0;
    size_t at = 0;
    const std::vector<Step> steps = profile.Steps(length).value();
    for (int64_t second = 0; second < length; ++second) {
      while (at + 1 < points.size() && points[at + 1].second <= second) {
        ++at;
      }
      long double value = points[at].qps;
      if (at + 1 < points.size()) {
        const long double part = static_cast<long double>(second - points[at].second) /
                                 static_cast<long double>(points[at + 1].second - points[at].second);
        value += (static_cast<long double>(points[at + 1].qps) - value) * part;
      }
      ASSERT_NEAR(profile.QpsAt(second), static_cast<double>(value), 0.5000001) << second;
      size_t step = 0;
      while (step + 1 < steps.size() && steps[step + 1].second <= second) {
        ++step;
      }
      ASSERT_EQ(steps[step].qps, profile.QpsAt(second));
      sum += profile.QpsAt(second);
    }
    ASSERT_EQ(profile.Requests(length), sum);
    for (size_t i = 1; i < steps.size(); ++i) {
      ASSERT_LT(steps[i - 1].second, steps[i].second);
      ASSERT_NE(steps[i - 1].qps, steps[i].qps);
    }
  }
}

// What the public record says of the evening.
TEST(Profile, TheGalaIsTheRecordedOne) {
  constexpr int64_t kEvening = 4 * 3'600;
  const Profile gala = LoadProfile("gala2015", {.peak = 14'000'000}).value();
  EXPECT_EQ(gala.seconds(), kEvening);
  EXPECT_EQ(gala.Peak(kEvening), 14'000'000u);
  EXPECT_NEAR(static_cast<double>(gala.Requests(kEvening)), 11.0e9, 0.01e9);
  EXPECT_NEAR(static_cast<double>(gala.Requests(9'000)), 7.2e9, 0.01e9);  // 22:30
  uint64_t best = 0;
  for (int64_t minute = 0; minute < kEvening; minute += 60) {
    best = std::max(best, gala.Requests(minute + 60) - gala.Requests(minute));
  }
  EXPECT_NEAR(static_cast<double>(best), 810e6, 1e6);
  EXPECT_LE(gala.Steps(kEvening).value().size(), static_cast<size_t>(kEvening));
}

// Its waves are there at every length: what comes before 22:30 keeps its share of the whole.
TEST(Profile, TheGalaIsScaled) {
  for (const int64_t seconds : {16, 80, 800, 3'600, 86'400}) {
    const Profile gala = LoadProfile("gala2015", {.seconds = seconds, .peak = 60'000}).value();
    EXPECT_EQ(gala.seconds(), seconds);
    EXPECT_EQ(gala.Peak(seconds), 60'000u);
    EXPECT_NEAR(static_cast<double>(gala.Requests(seconds * 5 / 8)) / static_cast<double>(gala.Requests(seconds)), 7.2 / 11.0,
                0.001)
        << seconds;
  }
  EXPECT_EQ(LoadProfile("gala2015", {.seconds = 1, .peak = 5}).value().Requests(1), 5u);
  EXPECT_THAT(Error("gala2015", {.seconds = 0, .peak = 0}), HasSubstr("peak of at least 1"));
}

TEST(Profile, HasABoundForItsSteps) {
  std::vector<uint32_t> rates;
  for (uint32_t i = 0; i < Profile::kStepsMax + 2; ++i) {
    rates.push_back(i % 2);
  }
  const Profile profile = Profile::FromRates(rates).value();
  EXPECT_EQ(profile.Steps(10).value().size(), 10u);
  EXPECT_EQ(profile.Steps(profile.seconds()).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace hongbao::client
