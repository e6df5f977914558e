#include "libhongbao/net/accept_trouble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace hongbao::net {
namespace {

TEST(SayNotAccepted, OnceWithCauseAndCure) {
  testing::internal::CaptureStderr();
  SayNotAccepted(EMFILE);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, testing::HasSubstr("Too many open files"));
  EXPECT_THAT(said, testing::HasSubstr("ulimit -n"));
  testing::internal::CaptureStderr();
  SayNotAccepted(EMFILE);
  SayNotAccepted(0);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace hongbao::net
