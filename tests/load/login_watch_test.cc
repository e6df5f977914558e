#include "libhongbao/load/login_watch.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace hongbao::load {
namespace {

constexpr int64_t kDeadlineNs = 10'000'000'000;

std::set<uint32_t> Expired(const LoginWatch& watch, int64_t now_ns) {
  std::set<uint32_t> expired;
  watch.Check(now_ns, kDeadlineNs, [&](uint32_t user) { EXPECT_TRUE(expired.insert(user).second); });
  return expired;
}

TEST(LoginWatch, NamesThoseWhoWaitTooLong) {
  std::vector<Member> users(10);
  LoginWatch watch(10);
  for (uint32_t user = 0; user < 10; ++user) watch.Add(users.data(), user, 1'000 * user);
  EXPECT_TRUE(Expired(watch, kDeadlineNs - 1).empty());
  EXPECT_EQ(Expired(watch, kDeadlineNs), (std::set<uint32_t>{0}));
  EXPECT_EQ(Expired(watch, kDeadlineNs + 2'500), (std::set<uint32_t>{0, 1, 2}));
}

TEST(LoginWatch, WhoeverLeavesDoesNotDisturbTheOthers) {
  std::vector<Member> users(100);
  LoginWatch watch(100);
  for (uint32_t user = 0; user < 100; ++user) watch.Add(users.data(), user, 0);
  std::set<uint32_t> left;
  for (uint32_t user = 0; user < 100; ++user) left.insert(user);
  for (uint32_t i = 0; i < 100; ++i) {
    const uint32_t user = i * 37 % 100;
    watch.Remove(users.data(), user);
    left.erase(user);
    EXPECT_EQ(users[user].next, kNoMember);
    ASSERT_EQ(Expired(watch, kDeadlineNs), left);
  }
  EXPECT_EQ(watch.size(), 0u);
}

}  // namespace
}  // namespace hongbao::load
