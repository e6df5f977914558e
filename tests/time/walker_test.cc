#include "libhongbao/time/walker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <vector>

namespace hongbao::time {
namespace {

constexpr int64_t kT = 1'800'000'000;  // a second of 2027
constexpr int64_t kTNs = kT * kNsPerSecond;
constexpr int64_t kYear2100 = 4'102'444'800;

using Request = std::tuple<int64_t, uint64_t, uint32_t, uint32_t>;  // due, number, user, segment

std::vector<Request> Take(Walker& walker, int64_t until_ns) {
  std::vector<Request> requests;
  for (Due due; walker.NextDue(until_ns - 1, due);) {
    requests.emplace_back(due.due_ns, due.number, due.user, due.segment);
  }
  return requests;
}

// The same in batches of random sizes, one by one in between; without numbers, which a batch does not tell.
std::vector<Request> TakeBatches(Walker& walker, int64_t until_ns, std::mt19937_64& random) {
  std::vector<Request> requests;
  std::vector<DueUser> batch(1 + random() % 700);
  while (true) {
    uint32_t segment = Schedule::kNone;
    const size_t wanted = 1 + random() % batch.size();
    const size_t taken = walker.NextDueMany(until_ns - 1, {batch.data(), wanted}, segment);
    for (size_t i = 0; i < taken; ++i) {
      requests.emplace_back(batch[i].due_ns, 0, batch[i].user, segment);
    }
    Due due;
    if (random() % 4 == 0 && walker.NextDue(until_ns - 1, due)) {
      requests.emplace_back(due.due_ns, 0, due.user, due.segment);
    } else if (taken == 0) {
      return requests;
    }
  }
}

std::vector<Request> WithoutNumbers(std::vector<Request> requests) {
  for (Request& request : requests) std::get<1>(request) = 0;
  return requests;
}

void Add(Schedule& schedule, const Segment& segment) { ASSERT_TRUE(schedule.Add(segment).ok()); }

// The schedule written out number by number: what every walker must agree with.
std::vector<Request> ByDefinition(const Schedule& schedule, const Permutation& permutation, int64_t from_ns, int64_t until_ns) {
  std::vector<Request> requests;
  for (int64_t second = from_ns / kNsPerSecond; second * kNsPerSecond < until_ns; ++second) {
    const uint32_t index = schedule.IndexAt(second * kNsPerSecond);
    const Segment segment = index == Schedule::kNone ? Segment{} : schedule.segment(index);
    for (uint64_t i = 0; i < segment.qps; ++i) {
      const uint64_t number = static_cast<uint64_t>(second) * segment.qps + i;
      const int64_t due_ns = DueNs(number, segment.qps, segment.burst);
      const uint64_t first = static_cast<uint64_t>(segment.at_second) * segment.qps;
      if (segment.requests != 0 && number >= first + segment.requests) break;
      if (due_ns >= from_ns && due_ns < until_ns) {
        requests.emplace_back(due_ns, number, permutation.UserAt(number % permutation.total()), index);
      }
    }
  }
  return requests;
}

// Any partition of the users, each part walked by itself from any start, yields together the one schedule, each once.
TEST(WalkerTest, AnyPartitionOfTheUsersYieldsTheSameUnion) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 150; ++round) {
    const uint64_t total = 1 + random() % (round % 3 == 0 ? 5 : 3'000);
    const Permutation permutation(total);
    Schedule schedule;
    int64_t at = kT + static_cast<int64_t>(random() % 2);
    for (int i = 0; i < 4; ++i) {
      // Often above one per user and second, now and then silence.
      Add(schedule, {.at_second = at,
                     .qps = static_cast<uint32_t>(random() % 4 == 0 ? 0 : random() % 2'500),
                     .burst = random() % 4 == 0,
                     .requests = random() % 3 == 0 ? 1 + random() % 4'000 : 0});
      at += static_cast<int64_t>(1 + random() % 3);
    }
    const int64_t from_ns = kTNs + static_cast<int64_t>(random() % 2'000'000'000);
    const int64_t until_ns = (at + 2) * kNsPerSecond + static_cast<int64_t>(random() % 1'000'000'000);

    std::set<uint64_t> cuts{0, total};
    for (uint64_t i = random() % 5; i > 0; --i) {
      cuts.insert(random() % total);
    }
    std::vector<Request> all;
    for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut) {
      Walker walker(schedule, permutation, {*cut, *std::next(cut)}, from_ns);
      const std::vector<Request> part = Take(walker, until_ns);
      ASSERT_TRUE(std::is_sorted(part.begin(), part.end()));
      ASSERT_EQ(walker.CountBetween(from_ns, until_ns), part.size());
      Walker twin(schedule, permutation, {*cut, *std::next(cut)}, from_ns);
      ASSERT_EQ(TakeBatches(twin, until_ns, random), WithoutNumbers(part));
      ASSERT_EQ(twin.next_due_ns(), walker.next_due_ns());
      ASSERT_EQ(twin.next().number, walker.next().number);
      for (const Request& request : part) {
        ASSERT_GE(std::get<2>(request), *cut);
        ASSERT_LT(std::get<2>(request), *std::next(cut));
      }
      all.insert(all.end(), part.begin(), part.end());
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all, ByDefinition(schedule, permutation, from_ns, until_ns)) << "round " << round;
  }
}

TEST(WalkerTest, SlicesCoverARangeExactlyOnce) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{1'000}}) {
    uint64_t expected = 50;
    for (uint64_t part = 0; part < 7; ++part) {
      const UserRange slice = Slice({50, 50 + size}, part, 7);
      EXPECT_EQ(slice.first, expected);
      EXPECT_LE(slice.size(), size / 7 + 1);
      expected = slice.end;
    }
    EXPECT_EQ(expected, 50 + size);
  }
}

TEST(WalkerTest, NoUsersNoRequests) {
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 1'000});
  Walker walker(schedule, Permutation(10), {4, 4}, kTNs);
  EXPECT_EQ(walker.next_due_ns(), kNever);
  EXPECT_EQ(walker.SkipTo(kTNs + kNsPerSecond), 0u);
}

// The prototype made all of a second's users speak at its start; here ten windows of 100 ms are alike to one request.
TEST(WalkerTest, DefectSawtooth_RequestsAreSpacedEvenlyInsideTheSecond) {
  const Permutation permutation(20'000);
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 1'201});
  Walker walker(schedule, permutation, {0, 20'000}, kTNs);
  std::vector<int> window(10);
  int64_t last_ns = kTNs - kNsPerSecond / 1'201;
  for (const Request& request : Take(walker, kTNs + kNsPerSecond)) {
    ++window[static_cast<size_t>((std::get<0>(request) - kTNs) / (100 * kNsPerMs))];
    EXPECT_NEAR(static_cast<double>(std::get<0>(request) - last_ns), 1e9 / 1'201, 1);
    last_ns = std::get<0>(request);
  }
  for (const int count : window) {
    EXPECT_NEAR(count, 120.1, 1);
  }
}

TEST(WalkerTest, BurstPutsASecondsRequestsAtItsStart) {
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 500, .burst = true});
  Walker walker(schedule, Permutation(1'000), {0, 1'000}, kTNs);
  const std::vector<Request> requests = Take(walker, kTNs + 2 * kNsPerSecond);
  ASSERT_EQ(requests.size(), 1'000u);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(std::get<0>(requests[i]), kTNs + (i < 500 ? 0 : kNsPerSecond));
  }
}

TEST(WalkerTest, EachUserInTurnEvenAboveOnePerSecond) {
  const uint64_t total = 97;
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 1'000});
  Walker walker(schedule, Permutation(total), {0, total}, kTNs);
  const std::vector<Request> requests = Take(walker, kTNs + kNsPerSecond);
  for (size_t i = 0; i + total <= requests.size(); i += total) {
    std::set<uint32_t> users;
    for (size_t j = i; j < i + total; ++j) {
      users.insert(std::get<2>(requests[j]));
    }
    ASSERT_EQ(users.size(), total);
  }
}

// 30k -> 60k at a named second: the totals of every second are exact, on two clients that start seconds apart.
TEST(WalkerTest, RateChangesAtTheNamedSecondExactly) {
  const Permutation permutation(1'000'000);
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 30'000});
  Add(schedule, {.at_second = kT + 3, .qps = 60'000});
  Add(schedule, {.at_second = kT + 5, .qps = 0});
  Add(schedule, {.at_second = kT + 6, .qps = 59'999});
  Walker early(schedule, permutation, {0, 400'000}, kTNs - 5 * kNsPerSecond);
  Walker late(schedule, permutation, {400'000, 1'000'000}, kTNs + kNsPerSecond / 2);
  std::map<int64_t, uint64_t> per_second;
  for (Walker* walker : {&early, &late}) {
    for (const Request& request : Take(*walker, kTNs + 8 * kNsPerSecond)) {
      ++per_second[std::get<0>(request) / kNsPerSecond - kT];
    }
  }
  EXPECT_EQ(per_second[1], 30'000u);
  EXPECT_EQ(per_second[2], 30'000u);
  EXPECT_EQ(per_second[3], 60'000u);
  EXPECT_EQ(per_second[4], 60'000u);
  EXPECT_EQ(per_second.count(5), 0u);
  EXPECT_EQ(per_second[6], 59'999u);
  EXPECT_EQ(per_second[7], 59'999u);
}

TEST(WalkerTest, AMillionUsersAtSixtyThousandAndALateJoinerAgree) {
  const Permutation permutation(1'000'000);
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 60'000});
  Walker first(schedule, permutation, {250'000, 500'000}, kTNs);
  Walker joiner(schedule, permutation, {250'000, 500'000}, kTNs + 17 * kNsPerSecond);
  std::vector<Request> all = Take(first, kTNs + 34 * kNsPerSecond);  // twice round the users
  EXPECT_NEAR(static_cast<double>(all.size()), 34 * 15'000, 100);
  std::map<uint32_t, int> per_user;
  for (const Request& request : all) {
    ++per_user[std::get<2>(request)];
  }
  EXPECT_EQ(per_user.size(), 250'000u);  // each has had a turn
  all.erase(all.begin(), std::find_if(all.begin(), all.end(),
                                      [](const Request& request) { return std::get<0>(request) >= kTNs + 17 * kNsPerSecond; }));
  EXPECT_EQ(Take(joiner, kTNs + 34 * kNsPerSecond), all);
}

TEST(WalkerTest, Defect24_RateZeroIsSilence) {
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 0});
  Walker walker(schedule, Permutation(100), {0, 100}, kTNs);
  EXPECT_EQ(walker.next_due_ns(), kNever);
  Due due;
  EXPECT_FALSE(walker.NextDue(kNever, due));
  EXPECT_EQ(walker.CountBetween(0, kNever), 0u);
  Add(schedule, {.at_second = kT + 10, .qps = 5});
  walker.Refresh();
  EXPECT_EQ(walker.next_due_ns(), kTNs + 10 * kNsPerSecond);
}

TEST(WalkerTest, NothingOverflowsInTheYear2100) {
  Schedule schedule;
  Add(schedule, {.at_second = kYear2100, .qps = kQpsMax});
  const Permutation permutation(Permutation::kTotalMax);
  Walker walker(schedule, permutation, {1'000, 3'000}, kYear2100 * kNsPerSecond);
  Due due;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(walker.NextDue(kNever - 1, due));
    ASSERT_EQ(due.due_ns, static_cast<int64_t>(due.number));  // one request per ns
    ASSERT_EQ(due.user, permutation.UserAt(due.number % permutation.total()));
    ASSERT_GE(due.user, 1'000u);
    ASSERT_LT(due.user, 3'000u);
  }
  EXPECT_EQ(walker.CountBetween(kYear2100 * kNsPerSecond, due.due_ns + 1), 10'000u);
}

TEST(WalkerTest, NeverEarlyNeverTwiceWhateverTheClockDoes) {
  const Permutation permutation(1'000);
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 997});
  Walker walker(schedule, permutation, {0, 1'000}, kTNs);
  std::mt19937_64 random(4);
  std::vector<Request> seen;
  for (int64_t now_ns = kTNs; now_ns < kTNs + 5 * kNsPerSecond;) {
    for (Due due; walker.NextDue(now_ns, due);) {
      ASSERT_LE(due.due_ns, now_ns);
      seen.emplace_back(due.due_ns, due.number, due.user, due.segment);
    }
    now_ns += static_cast<int64_t>(random() % 10'000'000) - 2'000'000;  // a clock that is stepped back now and then
  }
  EXPECT_EQ(seen, ByDefinition(schedule, permutation, kTNs, std::get<0>(seen.back()) + 1));
}

// What is skipped and what is yielded make up the schedule, wherever the skips begin and end.
TEST(WalkerTest, SkippingCountsTheMissedExactly) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    const uint64_t total = 1 + random() % 500;
    const Permutation permutation(total);
    Schedule schedule;
    for (int64_t second = 0; second < 6; second += 2) {
      Add(schedule, {.at_second = kT + second,
                     .qps = static_cast<uint32_t>(random() % 1'500),
                     .burst = random() % 2 == 0,
                     .requests = random() % 3 == 0 ? 1 + random() % 3'000 : 0});
    }
    const uint64_t cut = random() % (total + 1);
    Walker walker(schedule, permutation, {cut, total}, kTNs);
    const int64_t until_ns = kTNs + 8 * kNsPerSecond;
    const uint64_t expected = walker.CountBetween(kTNs, until_ns);
    uint64_t taken = 0, skipped = 0;
    for (int64_t now_ns = kTNs; now_ns < until_ns;) {
      Due due;
      for (uint64_t budget = random() % 200; budget > 0 && walker.NextDue(now_ns, due); --budget) {
        ++taken;
      }
      DueUser batch[100];
      uint32_t segment = 0;
      taken += walker.NextDueMany(now_ns, {batch, random() % 100}, segment);
      if (random() % 3 == 0) {
        skipped += walker.SkipTo(now_ns);
        ASSERT_GE(walker.next_due_ns(), now_ns);
      }
      now_ns += static_cast<int64_t>(random() % 700'000'000);
    }
    skipped += walker.SkipTo(until_ns);
    ASSERT_EQ(taken + skipped, expected) << "round " << round;
  }
}

// Changes that come in while walking: the same requests as if they had been known from the start.
TEST(WalkerTest, ChangesLearnedInTimeAreAsGoodAsKnownFromTheStart) {
  std::mt19937_64 random(6);
  for (int round = 0; round < 100; ++round) {
    const Permutation permutation(300);
    Schedule known, growing;
    Add(known, {.at_second = kT, .qps = 700, .burst = round % 2 == 0});
    Add(growing, {.at_second = kT, .qps = 700, .burst = round % 2 == 0});
    Walker walker(growing, permutation, {10, 200}, kTNs);
    std::vector<Request> walked;
    std::vector<Segment> changes;
    for (int64_t now_ns = kTNs; now_ns < kTNs + 12 * kNsPerSecond;) {
      walker.Refresh();
      Due due;
      for (uint64_t budget = random() % 100; budget > 0 && walker.NextDue(now_ns, due); --budget) {
        walked.emplace_back(due.due_ns, due.number, due.user, due.segment);
      }
      if (random() % 40 == 0) {
        const int64_t at = now_ns / kNsPerSecond + 1 + static_cast<int64_t>(random() % 3);  // in any order
        const auto qps = static_cast<uint32_t>(random() % 3 * 400);
        const Segment change{.at_second = at, .qps = qps, .burst = random() % 3 == 0};
        Add(known, change);
        Add(growing, change);
      }
      now_ns += static_cast<int64_t>(random() % 50'000'000);
    }
    walker.Refresh();
    const std::vector<Request> rest = Take(walker, kTNs + 20 * kNsPerSecond);
    walked.insert(walked.end(), rest.begin(), rest.end());
    Walker reference(known, permutation, {10, 200}, kTNs);
    ASSERT_EQ(walked, Take(reference, kTNs + 20 * kNsPerSecond)) << "round " << round;
  }
}

// The rates of a gateway's life, and numbers of our century, at any batch size.
TEST(WalkerTest, BatchesAreTheScheduleAtMillionsASecond) {
  std::mt19937_64 random(7);
  for (const uint32_t qps : {1u, 7u, 60'000u, 999'983u, 14'000'000u, 30'000'000u, 100'000'007u, kQpsMax}) {
    for (const uint64_t total : {uint64_t{1}, uint64_t{1'000}, uint64_t{1'000'003}}) {
      const Permutation permutation(total, random());
      Schedule schedule;
      Add(schedule, {.at_second = kT, .qps = qps});
      Add(schedule, {.at_second = kT + 3, .qps = qps / 2 + 1});
      const UserRange own = Slice({0, total}, total > 1 ? 1 : 0, total > 1 ? 3 : 1);
      const int64_t from_ns = kTNs + 3 * kNsPerSecond - static_cast<int64_t>(3 * total * kNsPerSecond / qps % kNsPerSecond);
      Walker one(schedule, permutation, own, from_ns), many(schedule, permutation, own, from_ns);
      std::vector<DueUser> batch(997);
      for (int i = 0; i < 20; ++i) {
        uint32_t segment = 0;
        const size_t taken = many.NextDueMany(kNever - 1, {batch.data(), 1 + random() % batch.size()}, segment);
        ASSERT_GT(taken, 0u);
        for (size_t j = 0; j < taken; ++j) {
          Due due;
          ASSERT_TRUE(one.NextDue(kNever - 1, due));
          ASSERT_EQ(due.due_ns, batch[j].due_ns);
          ASSERT_EQ(due.user, batch[j].user);
          ASSERT_EQ(due.segment, segment);
          ASSERT_EQ(due.due_ns, DueNs(due.number, schedule.segment(segment).qps));
        }
      }
      ASSERT_EQ(one.next().number, many.next().number);
    }
  }
}

TEST(WalkerTest, ABatchTakesNothingThatIsNotDue) {
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 1'000'000});
  Walker walker(schedule, Permutation(100), {0, 100}, kTNs);
  std::vector<DueUser> batch(10'000);
  uint32_t segment = 0;
  EXPECT_EQ(walker.NextDueMany(kTNs - 1, absl::MakeSpan(batch), segment), 0u);
  EXPECT_EQ(walker.NextDueMany(kTNs, absl::MakeSpan(batch), segment), 1u);
  EXPECT_EQ(walker.NextDueMany(kTNs + 999, absl::MakeSpan(batch), segment), 0u);
  EXPECT_EQ(walker.NextDueMany(kTNs + 5'000, absl::MakeSpan(batch), segment), 5u);
  EXPECT_EQ(walker.NextDueMany(kNever, {}, segment), 0u);
}

// --requests: the first so many numbers of the rate, wherever they lie and whoever has them; then silence.
TEST(WalkerTest, ALimitedRateEndsWithItsLastRequestForAnyPartition) {
  uint64_t sent = 0;
  for (uint64_t part = 0; part < 4; ++part) {
    Schedule schedule;
    Add(schedule, {.at_second = kT, .qps = 999, .requests = 2'345});
    Walker walker(schedule, Permutation(100), Slice({0, 100}, part, 4), kTNs);
    sent += Take(walker, kTNs + 100 * kNsPerSecond).size();
    EXPECT_EQ(walker.next_due_ns(), kNever);
    EXPECT_EQ(walker.SkipTo(kTNs + 200 * kNsPerSecond), 0u);
    Add(schedule, {.at_second = kT + 300, .qps = 1'000});  // and if there is more to come after all
    walker.Refresh();
    EXPECT_EQ(walker.next_due_ns() / kNsPerSecond - kT, 300);
  }
  EXPECT_EQ(sent, 2'345u);
}

TEST(WalkerTest, AChangeLearnedLateHoldsFromTheNextRequestOn) {
  const Permutation permutation(50);
  Schedule schedule;
  Add(schedule, {.at_second = kT, .qps = 100});
  Walker walker(schedule, permutation, {0, 50}, kTNs);
  const std::vector<Request> before = Take(walker, kTNs + kNsPerSecond / 2);
  Add(schedule, {.at_second = kT, .qps = 200});
  walker.Refresh();
  const std::vector<Request> after = Take(walker, kTNs + kNsPerSecond);
  EXPECT_EQ(before.size(), 50u);
  ASSERT_FALSE(after.empty());
  EXPECT_GT(std::get<0>(after.front()), std::get<0>(before.back()));
  EXPECT_NEAR(static_cast<double>(after.size()), 100, 2);
}

// A profile: any partition of the users makes the same requests, as many in each second as its rate, planned before or while it
// is walked.
TEST(WalkerTest, AProfileIsTheSameForAnyPartition) {
  std::mt19937_64 random(11);
  std::vector<Segment> profile;
  for (int64_t i = 0; i < 60; ++i) {
    profile.push_back({.at_second = kT + i, .qps = static_cast<uint32_t>(random() % 4 == 0 ? 0 : random() % 300)});
  }
  const Permutation permutation(97);
  const int64_t until_ns = (kT + 60) * kNsPerSecond;
  Schedule whole;
  ASSERT_TRUE(whole.AddPhase(profile).ok());
  Add(whole, {.at_second = kT + 60, .qps = 0});
  const std::vector<Request> wanted = ByDefinition(whole, permutation, kTNs, until_ns);
  for (const uint64_t parts : {1u, 2u, 5u}) {
    std::vector<Request> together;
    std::vector<uint64_t> per_second(60);
    for (uint64_t part = 0; part < parts; ++part) {
      Schedule schedule;
      Walker walker(schedule, permutation, Slice({0, 97}, part, parts), kTNs);
      EXPECT_TRUE(Take(walker, until_ns).empty());
      ASSERT_TRUE(schedule.AddPhase(profile).ok());
      Add(schedule, {.at_second = kT + 60, .qps = 0});
      walker.Refresh();
      for (int64_t i = 0; i < 60; ++i) {
        per_second[static_cast<size_t>(i)] += walker.CountBetween((kT + i) * kNsPerSecond, (kT + i + 1) * kNsPerSecond);
      }
      const std::vector<Request> own = Take(walker, until_ns + kNsPerSecond);
      together.insert(together.end(), own.begin(), own.end());
      EXPECT_EQ(walker.next_due_ns(), kNever);
    }
    std::sort(together.begin(), together.end());
    EXPECT_EQ(together, wanted);
    for (size_t i = 0; i < 60; ++i) {
      EXPECT_EQ(per_second[i], profile[i].qps);
    }
  }
}

// ---- the wall clock is set ----

constexpr int64_t kSteppedS = 1'424'183'400;

// All that is due in [from_s, to_s) of the steady time.
std::vector<Due> Between(Walker& walker, int64_t from_s, int64_t to_s) {
  std::vector<Due> all;
  Due due;
  while (walker.NextDue(to_s * kNsPerSecond - 1, due)) {
    EXPECT_GE(due.due_ns, from_s * kNsPerSecond);
    all.push_back(due);
  }
  return all;
}

// Wherever it is set: as many requests as before, at the same places of each second, and of the users that a client which
// always had the right clock sends for at that time.
TEST(WalkerClockTest, AfterAStepItAgreesWithAClientWhoseClockWasAlwaysRight) {
  for (const int64_t shift_s : {-3'600L, 3'600L, -1L, 1L, 86'400L * 365, 17L - kSteppedS}) {
    for (const bool burst : {false, true}) {
      for (const UserRange own : {UserRange{0, 1'000}, UserRange{200, 317}}) {
        Schedule schedule, right;
        ASSERT_TRUE(schedule.Add({.at_second = kSteppedS, .qps = 700, .burst = burst}).ok());
        ASSERT_TRUE(right.Add({.at_second = kSteppedS + shift_s, .qps = 700, .burst = burst}).ok());
        Walker walker(schedule, Permutation(1'000), own, kSteppedS * kNsPerSecond);
        const size_t before = Between(walker, kSteppedS, kSteppedS + 10).size();
        walker.FollowWall(shift_s, (kSteppedS + 10) * kNsPerSecond);
        Walker other(right, Permutation(1'000), own, (kSteppedS + 10 + shift_s) * kNsPerSecond);
        const std::vector<Due> got = Between(walker, kSteppedS + 10, kSteppedS + 20);
        const std::vector<Due> want = Between(other, kSteppedS + 10 + shift_s, kSteppedS + 20 + shift_s);
        ASSERT_EQ(got.size(), want.size());
        EXPECT_NEAR(static_cast<double>(got.size()), static_cast<double>(before), 2);
        for (size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(got[i].user, want[i].user);
          ASSERT_EQ(got[i].number, want[i].number);
          ASSERT_EQ(got[i].due_ns + shift_s * kNsPerSecond, want[i].due_ns);
        }
      }
    }
  }
}

// In the middle of a burst, and of a limited number of requests: what was sent stays sent, what was not is sent once.
TEST(WalkerClockTest, NothingIsSentTwiceOrLeftOutAtAStep) {
  for (const bool burst : {false, true}) {
    Schedule schedule;
    ASSERT_TRUE(schedule.Add({.at_second = kSteppedS, .qps = 100, .burst = burst, .requests = 1'000}).ok());
    Walker walker(schedule, Permutation(1'000), {0, 1'000}, kSteppedS * kNsPerSecond);
    Due due;
    size_t sent = 0;
    for (int64_t shift_s = 0; walker.NextDue((kSteppedS + 100) * kNsPerSecond, due); ++sent) {
      if (sent % 37 == 0) {
        shift_s = shift_s == 0 ? -3'600 : 0;
        walker.FollowWall(shift_s, (kSteppedS + 100) * kNsPerSecond);
      }
    }
    EXPECT_EQ(sent, 1'000U);
    EXPECT_EQ(due.due_ns, burst ? (kSteppedS + 9) * kNsPerSecond : (kSteppedS + 9) * kNsPerSecond + 990'000'000);
  }
}

TEST(WalkerClockTest, CountsAndBatchesAreOfTheSteadyTimeToo) {
  Schedule schedule;
  ASSERT_TRUE(schedule.Add({.at_second = kSteppedS, .qps = 700}).ok());
  Walker walker(schedule, Permutation(1'000), {0, 1'000}, kSteppedS * kNsPerSecond);
  walker.FollowWall(-3'600, kSteppedS * kNsPerSecond);
  EXPECT_EQ(walker.CountBetween(kSteppedS * kNsPerSecond, (kSteppedS + 10) * kNsPerSecond), 7'000U);
  std::vector<DueUser> due(100);
  uint32_t segment = 0;
  ASSERT_EQ(walker.NextDueMany((kSteppedS + 1) * kNsPerSecond, absl::MakeSpan(due), segment), 100U);
  EXPECT_EQ(due[0].due_ns, kSteppedS * kNsPerSecond);
  EXPECT_EQ(walker.SkipTo((kSteppedS + 1) * kNsPerSecond), 600U);
}

}  // namespace
}  // namespace hongbao::time
