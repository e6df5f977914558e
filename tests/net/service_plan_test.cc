#include "libhongbao/net/service_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace hongbao::net {
namespace {

using testing::HasSubstr;

const ring::Features kDirect = {.direct_descriptors = true, .kernel = "6.18"};
const ring::Features kRegular = {.direct_descriptors = false, .kernel = "6.1"};

// Arguments of PlanSets: files and processors alone.
Limits Has(uint64_t open_files, uint32_t processors) { return {.open_files = open_files, .processors = processors}; }

std::string Message(const absl::StatusOr<ServicePlan>& plan) { return std::string(plan.status().message()); }

TEST(PlanSets, AMillionConnectionsUnderTwentyThousandFiles) {
  const absl::StatusOr<ServicePlan> plan = PlanSets({.connections_max = 1'000'000}, kDirect, Has(20'000, 2));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->workers, 2u);
  EXPECT_EQ(plan->worker.sets, 28u);  // 500,000 / 18,000
  EXPECT_EQ(plan->sets, 56u);
  EXPECT_EQ(plan->worker.port.slots, 20'000u) << "a table may not be larger than the limit of open files";
  EXPECT_EQ(plan->worker.ring.slots, 20'000u);
  EXPECT_TRUE(plan->worker.port.direct_descriptors);
  EXPECT_LT(plan->sets * 2 + 64, 20'000u);
  EXPECT_THAT(plan->ToString(), HasSubstr("56 sets of 20000 slots"));
}

TEST(PlanSets, HighLimitNeedsOneSetPerWorker) {
  const absl::StatusOr<ServicePlan> plan = PlanSets({.connections_max = 1'000'000}, kDirect, Has(1u << 30, 2));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->sets, 2u);
  EXPECT_EQ(plan->worker.port.slots, 1'010'064u) << "a bad hash may bring nearly all to one set";
  const absl::StatusOr<ServicePlan> more = PlanSets({.connections_max = 10'000'000}, kDirect, Has(1u << 30, 2));
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_EQ(more->worker.port.slots, 1u << 20) << "the kernel's own limit of a table";
  EXPECT_GE(uint64_t{more->sets} * more->worker.port.slots, 11'000'000u);
}

TEST(PlanSets, AHundredConnectionsAreSmall) {
  const absl::StatusOr<ServicePlan> plan = PlanSets({.connections_max = 100}, kDirect, Has(1'024, 4));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->workers, 4u);
  EXPECT_EQ(plan->worker.sets, 1u);
  EXPECT_EQ(plan->worker.port.slots, 165u) << "all of them may be hashed to one set";
}

TEST(PlanSets, EverySizeHasRoomForAll) {
  for (const uint64_t limit : {256u, 1'024u, 20'000u, 1u << 20, 1u << 30}) {
    for (const uint32_t workers : {1u, 2u, 7u, 64u}) {
      for (const uint32_t wanted : {1u, 99u, 1'000u, 65'536u, 1'000'000u}) {
        const absl::StatusOr<ServicePlan> plan =
            PlanSets({.connections_max = wanted, .workers = workers}, kDirect, Has(limit, 2));
        if (!plan.ok()) {
          EXPECT_THAT(Message(plan), HasSubstr("ulimit -n"));
          continue;
        }
        EXPECT_EQ(plan->workers, workers);
        EXPECT_GE(uint64_t{plan->sets} * plan->worker.port.slots, wanted);
        EXPECT_LE(plan->worker.port.slots, limit);
        EXPECT_LE(plan->worker.port.slots, 1u << 20);
        EXPECT_LE(plan->backlog, std::max(plan->worker.ring.completion_entries / 4, 128u));
        EXPECT_LE(plan->worker.ring.submission_entries, plan->worker.ring.completion_entries);
      }
    }
  }
}

TEST(PlanSets, WithoutDirectDescriptorsTheLimitBindsAndSaysSo) {
  const absl::StatusOr<ServicePlan> fits = PlanSets({.connections_max = 10'000}, kRegular, Has(20'000, 2));
  ASSERT_TRUE(fits.ok()) << fits.status();
  EXPECT_EQ(fits->worker.sets, 1u);
  EXPECT_FALSE(fits->worker.port.direct_descriptors);
  EXPECT_GE(fits->worker.port.slots, 10'000u + 64) << "slots are descriptor numbers";
  const absl::StatusOr<ServicePlan> too_many = PlanSets({.connections_max = 20'000}, kRegular, Has(20'000, 2));
  ASSERT_FALSE(too_many.ok());
  EXPECT_EQ(too_many.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(too_many), HasSubstr("20000"));
  EXPECT_THAT(Message(too_many), HasSubstr("ulimit -Hn"));
  EXPECT_THAT(Message(too_many), HasSubstr("6.13"));
}

TEST(PlanSets, WithoutDirectDescriptorsAHugeLimitDoesNotMakeAHugeTable) {
  // Container runtimes set a limit of a billion.
  const absl::StatusOr<ServicePlan> plan = PlanSets({.connections_max = 1'000}, kRegular, Has(1'073'741'816, 2));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_LT(plan->worker.port.slots, 10'000u);
}

TEST(PlanSets, WithoutDirectDescriptorsWhatIsOpenAlreadyTakesNumbers) {
  // A connection's slot is the lowest free number: 2,000 inherited descriptors move all of them up.
  const auto plan = [](uint64_t open) {
    return PlanSets({.connections_max = 1'000}, kRegular, {.open_files = 1 << 20, .open_files_now = open, .processors = 2});
  };
  ASSERT_TRUE(plan(2'000).ok());
  EXPECT_GE(plan(2'000)->worker.port.slots, 2'000u + 1'000 + 2'500) << "and as many HTTP connections as there may be";
  EXPECT_EQ(plan(2'000)->worker.port.slots, plan(0)->worker.port.slots + 2'000);
  const absl::StatusOr<ServicePlan> none_left =
      PlanSets({.connections_max = 1'000}, kRegular, {.open_files = 2'500, .open_files_now = 2'000, .processors = 2});
  EXPECT_EQ(none_left.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(none_left), HasSubstr("2000 are open already"));
}

TEST(PlanSets, AsManyWorkersAsProcessorsAndAsAnAddressHasRoomFor) {
  EXPECT_EQ(PlanSets({}, kDirect, Has(1 << 20, 300))->workers, 256u);
  EXPECT_EQ(PlanSets({}, kDirect, Has(1 << 20, 255))->workers, 255u);
  EXPECT_THAT(Message(PlanSets({.workers = 257}, kDirect, Has(1 << 20, 300))), HasSubstr("at most 256"));
}

TEST(PlanSets, RingsFitHalfOfTheLockedMemoryWhereTheyCount) {
  ring::Features locked = kDirect;
  locked.locked_rings = true;
  const Limits limits = {.open_files = 20'000, .locked_bytes = 8 << 20, .processors = 2};
  for (const ServiceOptions& options :
       {ServiceOptions{.connections_max = 1'000, .workers = 16}, ServiceOptions{.connections_max = 1'000'000},
        ServiceOptions{.connections_max = 100, .workers = 64}}) {
    const absl::StatusOr<ServicePlan> small = PlanSets(options, locked, limits);
    ASSERT_TRUE(small.ok()) << small.status();
    EXPECT_LE(small->ring_bytes(), 4u << 20);
    EXPECT_TRUE(small->shrunk);
    EXPECT_THAT(small->ToString(), HasSubstr("small rings"));
    EXPECT_FALSE(PlanSets(options, kDirect, limits)->shrunk) << "here they do not count";
  }
  EXPECT_FALSE(PlanSets({.connections_max = 1'000}, locked, limits)->shrunk) << "two workers have room";
  ServicePlan least = *PlanSets({.connections_max = 1'000, .workers = 256}, locked, limits);
  while (least.Shrink()) {
  }
  EXPECT_GE(least.worker.ring.completion_entries, 256u) << "and are not made smaller than that";
  EXPECT_GE(least.worker.ring.submission_entries, 64u);
  EXPECT_GE(least.worker.ring.buffers, 64u);
}

TEST(PlanSets, TooFewFilesForTheRingsThemselves) {
  const absl::StatusOr<ServicePlan> plan = PlanSets({.connections_max = 1'000'000}, kDirect, Has(256, 2));
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(Message(plan), HasSubstr("256"));
  EXPECT_THAT(Message(plan), HasSubstr("ulimit -n"));
  EXPECT_FALSE(PlanSets({.connections_max = 1}, kDirect, Has(1, 1)).ok());
}

TEST(PlanSets, NonsenseIsRefusedInWords) {
  EXPECT_THAT(Message(PlanSets({.connections_max = 0}, kDirect, Has(20'000, 2))), HasSubstr("connections_max"));
  EXPECT_THAT(Message(PlanSets({.frame_deadline_ms = 0}, kDirect, Has(20'000, 2))), HasSubstr("frame_deadline_ms"));
  for (const uint32_t messages : {0u, 1u, 3u, 1'000u}) {
    EXPECT_THAT(Message(PlanSets({.inbox_messages = messages}, kDirect, Has(20'000, 2))), HasSubstr("inbox_messages"));
  }
  EXPECT_THAT(Message(PlanSets({.tuning = {.receive_buffers = 3}}, kDirect, Has(20'000, 2))), HasSubstr("receive_buffers"));
  EXPECT_THAT(Message(PlanSets({.completion_entries = 8}, kDirect, Has(20'000, 2))), HasSubstr("completion_entries"));
}

TEST(PlanSets, WhatIsAskedForIsTaken) {
  const absl::StatusOr<ServicePlan> plan = PlanSets(
      {.workers = 3, .unsent_bytes_max = 1, .tuning = {.sets_per_worker = 4, .receive_buffers = 2}, .completion_entries = 64},
      kDirect, Has(20'000, 2));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->sets, 12u);
  EXPECT_EQ(plan->worker.ring.buffers, 2u);
  EXPECT_EQ(plan->worker.ring.completion_entries, 64u);
  EXPECT_EQ(plan->worker.ring.submission_entries, 32u);
  EXPECT_GE(plan->worker.port.unsent_bytes_max, 2 * kFrameBytesMax) << "one reply must always fit";
}

TEST(PlanService, WorksOnThisMachine) {
  const absl::StatusOr<ServicePlan> plan = PlanService({.connections_max = 100});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_GE(plan->workers, 1u);
}

}  // namespace
}  // namespace hongbao::net
