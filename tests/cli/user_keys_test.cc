#include "libhongbao/cli/user_keys.h"

#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_folder.h"

namespace hongbao::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string kOther = "ff" + kKey.substr(2);
constexpr int64_t kNow = 1'486'824'165;
constexpr uint32_t kTomorrow = 1'486'910'565;

std::string HexOf(const wire::Token& token) {
  std::string hex;
  for (const std::byte byte : token) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<size_t>(byte) >> 4];
    hex += kDigits[static_cast<size_t>(byte) & 15];
  }
  return hex;
}

class UserKeysTest : public testing::Test {
 protected:
  absl::StatusOr<UserKeys> Read(const std::string& text, mode_t mode = 0600) {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    std::fclose(file);
    EXPECT_EQ(chmod(path_.c_str(), mode), 0);
    return UserKeys::ReadFile(path_);
  }
  // InvalidArgument that names file, reason and cure, and shows nothing of the key.
  void ExpectWrong(const std::string& text, const std::string& reason) {
    const absl::Status status = Read(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    const std::string message(status.message());
    EXPECT_THAT(message, HasSubstr(path_));
    EXPECT_THAT(message, HasSubstr(reason));
    EXPECT_THAT(message, HasSubstr("openssl rand -hex 32"));
    EXPECT_THAT(message, Not(HasSubstr("0405060708")));
  }

  TestFolder folder_;
  const std::string path_ = folder_.File("keys");
};

// docs/PROTOCOL.md, "User tokens".
TEST_F(UserKeysTest, MakesTheProtocolsVectors) {
  const auto keys = Read(kKey);
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(HexOf(keys->Make(7, 1, kTomorrow)), "58a074655cbf6f49daf50f6dafed05c3");
  EXPECT_EQ(HexOf(keys->Make(1'000, 500, kTomorrow)), "58a0746504b989afd8156b5528823678");
  EXPECT_EQ(HexOf(keys->Make(7, 1, 0xffff'ffff)), "ffffffff16a3e85fdab122559707a057");
}

TEST_F(UserKeysTest, GoodForItsUsersAndItsTimeOnly) {
  const auto keys = Read(kKey);
  ASSERT_TRUE(keys.ok()) << keys.status();
  const wire::Token token = keys->Make(1'000, 500, kTomorrow);
  EXPECT_TRUE(keys->Check(token, 1'000, 500, kNow));
  EXPECT_TRUE(keys->Check(token, 1'000, 500, 0)) << "a clock that is behind";
  EXPECT_TRUE(keys->Check(token, 1'000, 500, kTomorrow - 1));
  EXPECT_FALSE(keys->Check(token, 1'000, 500, kTomorrow)) << "expired";
  EXPECT_FALSE(keys->Check(token, 1'000, 500, int64_t{1} << 40));
  EXPECT_FALSE(keys->Check(token, 1'001, 500, kNow));
  EXPECT_FALSE(keys->Check(token, 1'000, 499, kNow)) << "not for a part of them either";
  EXPECT_FALSE(keys->Check(token, 1'000, 1, kNow));
  EXPECT_FALSE(keys->Check(token, 500, 1'000, kNow));
  EXPECT_FALSE(keys->Check({}, 1'000, 500, 0));
  for (size_t bit = 0; bit < 8 * token.size(); ++bit) {
    wire::Token almost = token;
    almost[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(keys->Check(almost, 1'000, 500, kNow)) << "bit " << bit << ", the expiry's among them";
  }
}

TEST_F(UserKeysTest, TheFirstKeyMakesAndEveryKeyChecks) {
  const auto old_one = Read(kKey);
  const auto new_one = Read("# since spring\n" + kOther + "\r\n\n  " + kKey + "  \n");
  const auto after = Read(kOther + "\n");
  ASSERT_TRUE(old_one.ok() && new_one.ok() && after.ok()) << new_one.status();
  const wire::Token old_token = old_one->Make(7, 1, kTomorrow);
  const wire::Token new_token = new_one->Make(7, 1, kTomorrow);
  EXPECT_NE(old_token, new_token);
  EXPECT_EQ(after->Make(7, 1, kTomorrow), new_token);
  EXPECT_TRUE(new_one->Check(old_token, 7, 1, kNow));
  EXPECT_TRUE(new_one->Check(new_token, 7, 1, kNow));
  EXPECT_FALSE(old_one->Check(new_token, 7, 1, kNow));
  EXPECT_FALSE(after->Check(old_token, 7, 1, kNow));
}

TEST_F(UserKeysTest, AnythingButKeysIsRefusedInWords) {
  ExpectWrong("", "holds no key");
  ExpectWrong("# only\n\n", "holds no key");
  ExpectWrong(kKey.substr(0, 62), "line 1 holds 62 characters");
  ExpectWrong(kKey + "\n" + kKey + "00\n", "line 2 holds 66 characters");
  ExpectWrong("0x" + kKey.substr(2), "no hex digit");
  ExpectWrong(kKey.substr(0, 63) + "g", "no hex digit");
  ExpectWrong(kKey.substr(0, 30) + std::string(4, '\0') + kKey.substr(34), "no hex digit");
  ExpectWrong(std::string(64, '0'), "all zeros");
  std::string nine;
  for (int i = 0; i < 9; ++i) nine += kKey + "\n";
  ExpectWrong(nine, "holds 9 keys");
  ExpectWrong(std::string(5'000, '\n') + kKey, "too long");
  ExpectWrong(std::string("\xef\xbb\xbf") + kKey, "line 1 holds 67 characters");
}

TEST_F(UserKeysTest, AFileThatEveryoneMayReadIsRefused) {
  for (const mode_t mode : {0644U, 0604U, 0444U}) {
    const absl::Status status = Read(kKey, mode).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_THAT(std::string(status.message()), HasSubstr("chmod o-rwx " + path_));
  }
  EXPECT_TRUE(Read(kKey, 0640).ok()) << "a group may be the service's own";
}

TEST_F(UserKeysTest, AFileThatIsNotThereIsNamed) {
  const absl::Status status = UserKeys::ReadFile("/nowhere/keys").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("user key file /nowhere/keys"));
  EXPECT_FALSE(UserKeys::ReadFile(folder_.path().string()).ok()) << "a folder";
}

}  // namespace
}  // namespace hongbao::cli
