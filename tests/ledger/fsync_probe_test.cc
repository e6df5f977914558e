#include "libhongbao/ledger/fsync_probe.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ledger_fixture.h"

namespace hongbao::ledger {
namespace {

TEST(FsyncProbe, MeasuresAndLeavesNothing) {
  const TestFolder folder;
  const auto median_us = MedianSyncUs(folder.File());
  ASSERT_TRUE(median_us.ok()) << median_us.status();
  EXPECT_GE(*median_us, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.File("")));
}

TEST(FsyncProbe, SaysWhereItCannot) {
  const TestFolder folder;
  const auto median_us = MedianSyncUs(folder.File("nowhere") + "/money.ledger");
  ASSERT_FALSE(median_us.ok());
  EXPECT_NE(median_us.status().ToString().find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace hongbao::ledger
