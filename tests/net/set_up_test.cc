#include "libhongbao/net/set_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "libhongbao/net/lazy_array.h"
#include "libhongbao/net/worker_options.h"

namespace hongbao::net {
namespace {

using testing::HasSubstr;

TEST(SetUp, WhatIsRefusedBecomesCauseAndCure) {
  const absl::Status memory = net::SetUp([] {
    LazyArray<uint64_t> more_than_there_is(size_t{1} << 58);
    return absl::OkStatus();
  });
  EXPECT_EQ(memory.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(memory.message()), HasSubstr("ulimit -v"));
  const absl::Status thread = net::SetUp(
      []() -> absl::Status { throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again)); });
  EXPECT_EQ(thread.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(thread.message()), HasSubstr("TasksMax"));
  // More connections than any address space holds: the blocks of a port.
  EXPECT_FALSE(net::SetUp([] {
                 Port port(0, {.slots = 1u << 29, .unsent_bytes_max = 1u << 29});
                 return absl::OkStatus();
               }).ok());
}

TEST(SetUp, OtherResultsPass) {
  EXPECT_TRUE(net::SetUp([] { return absl::OkStatus(); }).ok());
  EXPECT_EQ(net::SetUp([] { return absl::NotFoundError("x"); }), absl::NotFoundError("x"));
}

TEST(RunMain, GivesTheExitCodeOrOneAndTheReason) {
  EXPECT_EQ(RunMain("program", [] { return 130; }), 130);
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunMain("program", []() -> int { throw std::bad_alloc(); }), 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("program: no memory"));
}

}  // namespace
}  // namespace hongbao::net
