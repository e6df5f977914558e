#include "libhongbao/load/addresses.h"

#include <cstdio>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

constexpr uint32_t kLoopback = 0x7f00'0001;
constexpr PortRange kKernelDefault{32'768, 60'999};

AddressOptions Loopback(UserRange users) {
  return {.destinations = {SocketAddress::Ipv4(kLoopback, 1025)}, .local_ports = kKernelDefault, .users = users};
}

using Pairs = absl::flat_hash_map<std::pair<SocketAddress, SocketAddress>, uint32_t>;

// How many of the users each pair gets.
Pairs Shares(const AddressPlan& plan, UserRange users) {
  Pairs shares;
  for (uint32_t user = users.first; user <= users.last; ++user) {
    const AddressPair pair = plan.PairOf(user);
    ++shares[{pair.source, pair.destination}];
  }
  return shares;
}

uint32_t Largest(const Pairs& shares) {
  uint32_t largest = 0;
  for (const auto& [pair, count] : shares) largest = std::max(largest, count);
  return largest;
}

TEST(AddressPlan, SmallFleetsUseTheirFirstLoopbackAddressOnly) {
  const auto plan = AddressPlan::Make(Loopback({0, 999, 1'000}));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->pairs(), 1u);
  EXPECT_EQ(plan->PairOf(999).source, SocketAddress::Ipv4(kLoopback));
  EXPECT_EQ(plan->PairOf(999).destination, SocketAddress::Ipv4(kLoopback, 1025));
}

TEST(AddressPlan, AMillionOnLoopbackNeverTakesMoreThanHalfOfAPairsPorts) {
  const UserRange users{0, 999'999, 1'000'000};
  const auto plan = AddressPlan::Make(Loopback(users));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto shares = Shares(*plan, users);
  EXPECT_EQ(shares.size(), plan->pairs());
  EXPECT_LE(Largest(shares), kKernelDefault.count() / 2);
  EXPECT_EQ(Largest(shares), (users.total + plan->pairs() - 1) / plan->pairs());
}

TEST(AddressPlan, ClientsOnOneMachineShareTheLoopbackPairsWithoutKnowingOfEachOther) {
  Pairs together;
  for (const UserRange part : {UserRange{0, 299'999, 1'000'000}, UserRange{300'000, 999'999, 1'000'000}}) {
    const auto plan = AddressPlan::Make(Loopback(part));
    ASSERT_TRUE(plan.ok()) << plan.status();
    for (const auto& [pair, count] : Shares(*plan, part)) together[pair] += count;
  }
  EXPECT_LE(Largest(together), kKernelDefault.count() / 2);
}

TEST(AddressPlan, ElsewhereTheKernelChoosesTheSource) {
  const auto plan = AddressPlan::Make(
      {.destinations = {SocketAddress::Ipv4(0x0a00'0005, 1025)}, .local_ports = kKernelDefault, .users = {500, 599, 1'000'000}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(plan->PairOf(555).source.given());
}

TEST(AddressPlan, TooFewPairsNameTheCure) {
  const auto plan = AddressPlan::Make(
      {.destinations = {SocketAddress::Ipv4(0x0a00'0005, 1025)}, .local_ports = kKernelDefault, .users = {0, 99'999, 100'000}});
  ASSERT_EQ(plan.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(plan.status().message()), testing::HasSubstr("100000 users need 8 (source, destination) pairs"));
  EXPECT_THAT(std::string(plan.status().message()), testing::HasSubstr("--source"));
}

TEST(AddressPlan, SourcesAndServerPortsMultiply) {
  const UserRange users{50'000, 149'999, 200'000};
  const AddressOptions options{.destinations = {SocketAddress::Ipv4(0x0a00'0005, 1025), SocketAddress::Ipv4(0x0a00'0005, 1026)},
                               .sources = {{SocketAddress::Ipv4(0x0a00'0101), 2}, {SocketAddress::Ipv4(0x0a00'0201), 200}},
                               .local_ports = kKernelDefault,
                               .users = users};
  const auto plan = AddressPlan::Make(options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto shares = Shares(*plan, users);
  EXPECT_EQ(shares.size(), 8u);
  EXPECT_LE(Largest(shares), kKernelDefault.count() / 2);
  for (const auto& [pair, count] : shares) EXPECT_TRUE(pair.first.given());
}

TEST(AddressPlan, GivenSourcesHoldOnLoopbackToo) {
  AddressOptions options = Loopback({0, 39'999, 40'000});
  options.sources = {{SocketAddress::Ipv4(0x7f00'0a01), 1}};
  EXPECT_EQ(AddressPlan::Make(options).status().code(), absl::StatusCode::kResourceExhausted);
  options.sources = {{SocketAddress::Ipv4(0x7f00'0a01), 3}};
  ASSERT_TRUE(AddressPlan::Make(options).ok());
}

TEST(AddressPlan, Ipv6SourcesAndDestinationsGoTogether) {
  const SocketAddress server = ParseAddress("2001:db8::5").WithPort(1025);
  AddressOptions options = {.destinations = {SocketAddress::Ipv4(0x0a00'0005, 1025), server},
                            .sources = {{ParseAddress("2001:db8::1:fffe"), 3}},
                            .local_ports = kKernelDefault,
                            .users = {0, 39'999, 40'000}};
  const auto plan = AddressPlan::Make(options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const auto& [pair, count] : Shares(*plan, options.users)) {
    EXPECT_EQ(pair.second, server);
    EXPECT_EQ(pair.first.family(), AF_INET6);
  }
  EXPECT_EQ(plan->PairOf(2).source.HostToString(), "2001:db8::2:0") << "counted on over the group's end";
  options.sources.push_back({SocketAddress::Ipv4(0x0a00'0101), 1});
  EXPECT_THAT(std::string(AddressPlan::Make(options).status().message()), testing::HasSubstr("--source"));
  options.sources = {{SocketAddress::Ipv4(0x0a00'0101), 9}};
  options.destinations = {server};
  EXPECT_THAT(std::string(AddressPlan::Make(options).status().message()), testing::HasSubstr("IPv6 addresses"));
}

TEST(AddressPlan, LoopbackOfIpv6HasOneAddressAndTheCureIsOneThatHelps) {
  AddressOptions options = {
      .destinations = {ParseAddress("::1").WithPort(1025)}, .local_ports = kKernelDefault, .users = {0, 999, 1'000}};
  const auto few = AddressPlan::Make(options);
  ASSERT_TRUE(few.ok()) << few.status();
  EXPECT_FALSE(few->PairOf(7).source.given());
  options.users = {0, 99'999, 100'000};
  EXPECT_THAT(std::string(AddressPlan::Make(options).status().message()), testing::HasSubstr("connect to 127.0.0.1"));
}

TEST(AddressPlan, NothingToConnectToIsAnError) {
  EXPECT_FALSE(AddressPlan::Make({.users = {0, 9, 10}}).ok());
  AddressOptions options = Loopback({0, 9, 10});
  options.local_ports = {40'000, 39'999};
  EXPECT_FALSE(AddressPlan::Make(options).ok());
}

TEST(LocalPortRange, IsReadFromTheFileOrElseTheKernelsDefault) {
  const std::string path = testing::TempDir() + "/port_range";
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("1024\t65535\n", file);
  std::fclose(file);
  EXPECT_EQ(ReadLocalPortRange(path.c_str()).count(), 64'512u);
  std::remove(path.c_str());
  EXPECT_EQ(ReadLocalPortRange(path.c_str()).count(), 28'232u);
  EXPECT_GT(ReadLocalPortRange().count(), 0u);
}

}  // namespace
}  // namespace hongbao::load
