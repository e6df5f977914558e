#include "libhongbao/cli/secret_file.h"

#include <sys/stat.h>

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/test_folder.h"

namespace hongbao::cli {
namespace {

TEST(SecretFileTest, GivesOneByteMoreThanAskedForSoThatALongerFileIsSeen) {
  TestFolder folder;
  const std::string path = folder.File("secret");
  std::FILE* file = std::fopen(path.c_str(), "wb");
  std::fputs("0123456789", file);
  std::fclose(file);
  EXPECT_EQ(ReadSecretFile(path, "secret", 10, true).value(), "0123456789");
  EXPECT_EQ(ReadSecretFile(path, "secret", 9, true).value(), "0123456789");
  EXPECT_EQ(ReadSecretFile(path, "secret", 4, true).value(), "01234");
  EXPECT_EQ(ReadSecretFile("/dev/zero", "secret", 4, false).value(), std::string(5, '\0')) << "no file of anybody's";
}

TEST(SecretFileTest, AsksWhoMayReadItOnlyWhereThatIsWanted) {
  TestFolder folder;
  const std::string path = folder.File("secret");
  std::fclose(std::fopen(path.c_str(), "wb"));
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(ReadSecretFile(path, "secret", 4, true).ok());
  EXPECT_FALSE(ReadSecretFile(path, "secret", 4, false).ok());
}

}  // namespace
}  // namespace hongbao::cli
