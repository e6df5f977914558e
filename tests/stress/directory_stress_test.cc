// The directory under logins, late closes, wins and gifts of the same few users from several threads at once.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "libhongbao/serve/directory.h"

namespace hongbao::serve {
namespace {

constexpr uint32_t kThreads = 4;
constexpr uint32_t kUsers = 8;
constexpr uint32_t kRounds = 50'000;

uint32_t NextRandom(uint32_t& state) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

void RunThreads(const std::function<void(uint32_t thread)>& body) {
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back(body, i);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// Each session that ever was is ended exactly once: by its own close, or by being replaced. Whoever comes second finds
// out.
TEST(DirectoryStressTest, EverySessionEndsExactlyOnce) {
  Directory directory = *Directory::Create(kUsers);
  std::atomic<uint64_t> logins{0};
  std::atomic<uint64_t> replaced{0};
  std::atomic<uint64_t> closed{0};
  RunThreads([&](uint32_t thread) {
    uint32_t random = thread + 1;
    for (uint32_t round = 1; round <= kRounds; ++round) {
      const uint32_t user = NextRandom(random) % kUsers;
      const uint64_t mine = Pack({.worker = static_cast<uint8_t>(thread), .generation = round, .slot = thread});
      replaced += directory.Login(user, mine).replaced != kOffline ? 1 : 0;
      ++logins;
      const uint64_t seen = directory.Find(user);
      EXPECT_TRUE(seen == kOffline || Unpack(seen).worker < kThreads);
      closed += directory.Logout(user, mine) ? 1 : 0;
      EXPECT_FALSE(directory.Logout(user, mine)) << "once";
    }
  });
  EXPECT_EQ(logins, replaced + closed);
  for (uint32_t user = 0; user < kUsers; ++user) {
    EXPECT_EQ(directory.Find(user), kOffline);
  }
}

TEST(DirectoryStressTest, TheCapHoldsAgainstAllThreads) {
  constexpr uint32_t kCap = 3;
  Directory directory = *Directory::Create(kUsers);
  std::atomic<uint64_t> won{0};
  RunThreads([&](uint32_t thread) {
    uint32_t random = thread + 1;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const uint32_t user = NextRandom(random) % kUsers;
      if (!directory.ReserveShakeWin(user, kCap)) {
        continue;
      }
      if (round % 2 == 0) {
        directory.ReleaseShakeWin(user);  // found nothing to claim
      } else {
        directory.AddGrant(user, 10);
        directory.RememberShare(user, round);
        ++won;
      }
    }
  });
  EXPECT_EQ(won, kCap * kUsers);
  for (uint32_t user = 0; user < kUsers; ++user) {
    EXPECT_EQ(directory.shake_wins(user), kCap);
    EXPECT_EQ(directory.grants(user), kCap);
    EXPECT_EQ(directory.total_fen(user), 10 * kCap);
  }
}

// A gift that comes while its user logs in: either the login sees the unopened gift or the gift's owner sees the
// session.
TEST(DirectoryStressTest, AGiftDuringALoginIsNoticedByOneSideAtLeast) {
  constexpr uint32_t kGames = 20'000;
  Directory directory = *Directory::Create(1);
  std::atomic<uint32_t> game{0};
  std::atomic<uint32_t> finished{0};
  std::atomic<bool> owner_saw{false};
  std::atomic<bool> login_saw{false};
  const uint64_t address = Pack({.generation = 1});
  // Both start each game at the same moment, from a spin.
  const auto wait_for = [&game](uint32_t wanted) {
    while (game.load(std::memory_order_acquire) != wanted) {
      std::this_thread::yield();
    }
  };
  std::thread owner([&] {
    for (uint32_t i = 1; i <= kGames; ++i) {
      wait_for(i);
      directory.AddUnopened(0);
      owner_saw.store(directory.Find(0) != kOffline, std::memory_order_relaxed);
      finished.fetch_add(1, std::memory_order_release);
    }
  });
  std::thread login([&] {
    for (uint32_t i = 1; i <= kGames; ++i) {
      wait_for(i);
      directory.Login(0, address);
      login_saw.store(directory.unopened(0) > 0, std::memory_order_relaxed);
      finished.fetch_add(1, std::memory_order_release);
    }
  });
  for (uint32_t i = 1; i <= kGames; ++i) {
    game.store(i, std::memory_order_release);
    while (finished.load(std::memory_order_acquire) != 2 * i) {
      std::this_thread::yield();
    }
    ASSERT_TRUE(owner_saw.load(std::memory_order_relaxed) || login_saw.load(std::memory_order_relaxed)) << i;
    directory.Logout(0, address);
    directory.RemoveUnopened(0);
  }
  owner.join();
  login.join();
}

}  // namespace
}  // namespace hongbao::serve
