#include "client/options.h"

#include <vector>

#include <cstdio>

#include "gtest/gtest.h"
#include "libhongbao/time/schedule.h"
#include "tests/test_folder.h"

namespace hongbao::client {
namespace {

absl::optional<int> Parse(std::vector<const char*> arguments, Options& options) {
  arguments.insert(arguments.begin(), "hongbao-client");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data(), options);
}

TEST(ClientOptions, DefaultsJustWorkAgainstALocalServer) {
  Options options;
  ASSERT_FALSE(Parse({}, options).has_value());
  EXPECT_EQ(options.server.ToString(), "127.0.0.1:1025");
  EXPECT_EQ(options.load.users, (load::UserRange{0, 999, 1'000}));
  EXPECT_EQ(options.qps, 50u);  // each user every 20 s
  EXPECT_EQ(options.admin.ToString(), "127.0.0.1:9090");
  EXPECT_EQ(options.load.version, wire::Version::k2);
}

TEST(ClientOptions, TheContractOfTheCommandLine) {
  Options options;
  ASSERT_FALSE(Parse({"--server",    "10.0.0.5:1026", "--users",
                      "0-499999/1M", "--qps",         "60k",
                      "--duration",  "30s",           "--protocol",
                      "1",           "--admin",       "127.0.0.1:0",
                      "--report",    "r.json",        "--connect-rate",
                      "20k",         "--source",      "10.0.0.0/24",
                      "--late-max",  "500ms",         "--burst",
                      "--compat",    "--quiet",       "--at",
                      "1486824165",  "--workers",     "3"},
                     options)
                   .has_value());
  EXPECT_EQ(options.server.ToString(), "10.0.0.5:1026");
  EXPECT_EQ(options.load.users, (load::UserRange{0, 499'999, 1'000'000}));
  EXPECT_EQ(options.qps, 60'000u);
  EXPECT_EQ(options.duration_ns, 30'000'000'000);
  EXPECT_EQ(options.load.version, wire::Version::k1);
  EXPECT_EQ(options.load.connects_per_second, 20'000u);
  ASSERT_EQ(options.load.sources.size(), 1u);
  EXPECT_EQ(options.load.sources[0].count, 254u);
  EXPECT_EQ(options.load.late_max_ns, 500'000'000);
  EXPECT_TRUE(options.load.burst && options.compat && options.quiet);
  EXPECT_EQ(options.at_second, 1'486'824'165);
  EXPECT_EQ(options.load.workers, 3u);
  EXPECT_EQ(options.report, "r.json");
}

TEST(ClientOptions, TheDefaultRateFollowsTheWholeFleet) {
  Options options;
  ASSERT_FALSE(Parse({"--users", "0-99/200k"}, options).has_value());
  EXPECT_EQ(options.qps, 10'000u);
  Options silent;
  ASSERT_FALSE(Parse({"--users", "0-99/200k", "--qps", "0"}, silent).has_value());
  EXPECT_EQ(silent.qps, 0u);
}

TEST(ClientOptions, StatementsAreAskedUnlessToldNotToAndNeverInV1) {
  Options options;
  ASSERT_FALSE(Parse({}, options).has_value());
  EXPECT_TRUE(options.load.statements);
  EXPECT_EQ(options.load.money_records_per_worker, 0u);
  Options without;
  ASSERT_FALSE(Parse({"--no-statements", "--money-log", "m.csv"}, without).has_value());
  EXPECT_FALSE(without.load.statements);
  EXPECT_EQ(without.money_log, "m.csv");
  EXPECT_GT(without.load.money_records_per_worker, 0u);
  Options v1;
  ASSERT_FALSE(Parse({"--protocol", "1"}, v1).has_value());
  EXPECT_FALSE(v1.load.statements);
}

class GatewayOptions : public testing::Test {
 protected:
  GatewayOptions() { Write("000102030405060708090a0b0c0d0e0f\n"); }
  void Write(const char* text) {
    std::FILE* file = std::fopen(token_.c_str(), "wb");
    std::fputs(text, file);
    std::fclose(file);
  }
  // With two gateways and the token.
  absl::optional<int> ParseMore(const std::vector<const char*>& more, Options& options) {
    std::vector<const char*> arguments = {"--gateways", "2", "--gateway-token-file", token_.c_str()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Parse(arguments, options);
  }

  TestFolder folder_;
  const std::string token_ = folder_.File("token");
};

TEST_F(GatewayOptions, GatewaysKnowTheirTokenAndTheirWindow) {
  Options plain;
  ASSERT_FALSE(ParseMore({}, plain).has_value());
  EXPECT_EQ(plain.load.gateways, 2u);
  EXPECT_EQ(plain.load.gateway_token.value()[15], std::byte{15});
  EXPECT_EQ(plain.load.requests_max, 0u);
  EXPECT_FALSE(plain.load.max_rate);
  EXPECT_TRUE(plain.load.statements);
  EXPECT_EQ(plain.qps, 50u);
  Options paced;
  ASSERT_FALSE(ParseMore({"--qps", "14M", "--requests", "10G", "--window", "65536", "--users", "10M"}, paced).has_value());
  EXPECT_EQ(paced.qps, 14'000'000u);
  EXPECT_EQ(paced.load.requests_max, 10'000'000'000u);
  EXPECT_EQ(paced.load.window, 65'536u);
  Options fast;
  ASSERT_FALSE(ParseMore({"--qps", "max", "--requests", "1M"}, fast).has_value());
  EXPECT_TRUE(fast.load.max_rate);
  EXPECT_EQ(fast.qps, time::kQpsMax);  // any but 0: the way it is planned
}

TEST_F(GatewayOptions, WhatDoesNotGoTogetherIsWrongUsage) {
  for (const std::vector<const char*>& wrong : std::vector<std::vector<const char*>>{{"--protocol", "1"},
                                                                                     {"--users", "3"},
                                                                                     {"--users", "0-2/100"},
                                                                                     {"--qps", "fast"},
                                                                                     {"--qps", "2G"},
                                                                                     {"--requests", "-1"},
                                                                                     {"--requests", "10G", "--qps", "0"},
                                                                                     {"--window", "0"},
                                                                                     {"--gateways", "5000"},
                                                                                     {"--users", "20M"}}) {
    Options options;
    EXPECT_EQ(ParseMore(wrong, options), 2) << wrong[0] << ' ' << wrong[1];
  }
  for (const std::vector<const char*>& alone : std::vector<std::vector<const char*>>{
           {"--gateways", "2"}, {"--qps", "max"}, {"--requests", "10"}, {"--window", "100"}, {"--gateway-token-file", "x"}}) {
    Options options;
    EXPECT_EQ(Parse(alone, options), 2) << alone[0];
  }
  Options options;
  Write("not a token");
  EXPECT_EQ(ParseMore({}, options), 2);
  EXPECT_EQ(Parse({"--gateways", "2", "--gateway-token-file", folder_.File("none").c_str()}, options), 2);
}

TEST(ClientOptions, HelpAndVersionAreNoErrors) {
  Options options;
  EXPECT_EQ(Parse({"--help"}, options), 0);
  EXPECT_EQ(Parse({"-h"}, options), 0);
  EXPECT_EQ(Parse({"--version"}, options), 0);
}

TEST(ClientOptions, WrongFlagsAndValuesExitWithTwo) {
  for (const std::vector<const char*>& wrong : std::vector<std::vector<const char*>>{{"--nonsense"},
                                                                                     {"--qps", "many"},
                                                                                     {"--qps", "-1"},
                                                                                     {"--users", "10-5/20"},
                                                                                     {"--users", "0-20/20"},
                                                                                     {"--protocol", "3"},
                                                                                     {"--duration", "30"},
                                                                                     {"--server", "::1:1025"},
                                                                                     {"--server", "10.1:1025"},
                                                                                     {"--monitor", "host:0"},
                                                                                     {"--admin", "0.0.0.0:9090"},
                                                                                     {"--admin", "[::]:9090"},
                                                                                     {"--admin", "host:9090"},
                                                                                     {"--server", "127.0.0.1:0"},
                                                                                     {"--server", "nobody"},
                                                                                     {"--connect-rate", "0"},
                                                                                     {"--source", "10.0.0.300"}}) {
    Options options;
    EXPECT_EQ(Parse(wrong, options), 2) << wrong[0] << ' ' << (wrong.size() > 1 ? wrong[1] : "");
  }
}

TEST(ClientOptions, AProfileIsTheRateAndTheLength) {
  Options options;
  ASSERT_FALSE(Parse({"--profile", "0s:0,10s:1k,20s:1k"}, options).has_value());
  EXPECT_EQ(options.duration_ns, 20'000'000'000);
  EXPECT_EQ(options.qps, 1'000u);
  EXPECT_EQ(options.steps.size(), 11u);
  EXPECT_EQ(options.profile_requests, 4'500u + 10'000u);
  Options longer;
  ASSERT_FALSE(Parse({"--profile", "0s:0,10s:1k,20s:1k", "--duration", "26s"}, longer).has_value());
  EXPECT_EQ(longer.duration_ns, 26'000'000'000);
  EXPECT_EQ(longer.profile_requests, 4'500u + 16'000u);
  Options gala;
  ASSERT_FALSE(Parse({"--profile", "gala2015", "--qps", "60k", "--duration", "10m"}, gala).has_value());
  EXPECT_EQ(gala.qps, 60'000u);
  EXPECT_EQ(gala.duration_ns, 600'000'000'000);
  Options evening;
  ASSERT_FALSE(Parse({"--profile", "gala2015", "--users", "1k"}, evening).has_value());
  EXPECT_EQ(evening.qps, 50u);
  EXPECT_EQ(evening.duration_ns, 14'400'000'000'000);
}

TEST(ClientOptions, AProfileThatMakesNoSenseIsAWrongCommandLine) {
  for (const std::vector<const char*>& wrong :
       std::vector<std::vector<const char*>>{{"--profile", "0s:5"},
                                             {"--profile", "1s:5,2s:6"},
                                             {"--profile", ""},
                                             {"--profile", "nothing"},
                                             {"--profile", "0s:5,9s:6", "--qps", "5"},
                                             {"--profile", "gala2015", "--qps", "0"},
                                             {"--profile", "gala2015", "--duration", "25h"}}) {
    Options options;
    EXPECT_EQ(Parse(wrong, options), 2) << wrong[1];
  }
}

TEST(ClientOptions, WhatHasToHoldIsReadBeforeTheRun) {
  Options options;
  ASSERT_FALSE(Parse({"--fail-if", "p99<1ms,missed==0", "--json"}, options).has_value());
  ASSERT_EQ(options.thresholds.size(), 2u);
  EXPECT_EQ(options.thresholds[1].expr, "missed==0");
  EXPECT_TRUE(options.json);
  for (const char* wrong : {"", "p99", "p99<1", "p98<1ms"}) {
    Options refused;
    EXPECT_EQ(Parse({"--fail-if", wrong}, refused), 2) << wrong;
  }
}

}  // namespace
}  // namespace hongbao::client
