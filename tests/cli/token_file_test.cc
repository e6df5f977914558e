#include "libhongbao/cli/token_file.h"

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

class TokenFile : public testing::Test {
 protected:
  absl::StatusOr<std::array<std::byte, 16>> Read(const std::string& text) {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    std::fclose(file);
    return ReadTokenFile(path_);
  }
  // InvalidArgument that names the file and the cure.
  void ExpectWrong(const std::string& text, const std::string& reason) {
    const absl::Status status = Read(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    const std::string message(status.message());
    EXPECT_THAT(message, HasSubstr(path_));
    EXPECT_THAT(message, HasSubstr(reason));
    EXPECT_THAT(message, HasSubstr("openssl rand -hex 16"));
  }

  TestFolder folder_;
  const std::string path_ = folder_.File("token");
};

TEST_F(TokenFile, ThirtyTwoHexDigitsAreSixteenBytesInTheirOrder) {
  for (const char* text :
       {"000102030405060708090a0b0c0d0eff", "000102030405060708090A0B0C0D0EFF\n", " \t000102030405060708090a0b0c0d0eFf\r\n\n"}) {
    const auto token = Read(text);
    ASSERT_TRUE(token.ok()) << token.status();
    for (size_t i = 0; i < 15; ++i) EXPECT_EQ(static_cast<size_t>((*token)[i]), i);
    EXPECT_EQ((*token)[15], std::byte{0xff});
  }
}

TEST_F(TokenFile, AnythingElseIsRefusedInWords) {
  ExpectWrong("", "holds 0 characters");
  ExpectWrong("000102030405060708090a0b0c0d0ef", "holds 31 characters");
  ExpectWrong("000102030405060708090a0b0c0d0eff0", "holds 33 characters");
  ExpectWrong("0x0102030405060708090a0b0c0d0eff", "no hex digit");
  ExpectWrong("0001020304050607 08090a0b0c0d0ef", "no hex digit");
  ExpectWrong(std::string("000102030405060708090a0b0c0d0e\0f", 32), "no hex digit");
  ExpectWrong(std::string(32, '0'), "all zeros");
  ExpectWrong("000102030405060708090a0b0c0d0eff" + std::string(300, '\n'), "too long");
}

TEST_F(TokenFile, AFileThatIsNotThereIsNamed) {
  const absl::Status status = ReadTokenFile(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  EXPECT_FALSE(ReadTokenFile(folder_.path().string()).ok());  // a folder can be opened, but not read
}

TEST_F(TokenFile, DevicesThatNeverEndDoNotHangIt) { EXPECT_FALSE(ReadTokenFile("/dev/zero").ok()); }

TEST_F(TokenFile, TheSecretIsNeverShown) {
  const std::string secret = "deadbeefdeadbeefdeadbeefdeadbeeg";
  EXPECT_THAT(std::string(Read(secret).status().message()), Not(HasSubstr("deadbeef")));
}

}  // namespace
}  // namespace hongbao::cli
