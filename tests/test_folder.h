// TestFolder: a folder of its own for a test's files, that goes when the test does.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace hongbao {

class TestFolder {
 public:
  TestFolder() {
    // mkdtemp(3) puts letters of its own in place of the last six.
    std::string name = (std::filesystem::temp_directory_path() / "hongbao-test-").string() + std::string(6, 'X');
    if (mkdtemp(name.data()) == nullptr) {
      std::abort();
    }
    path_ = name;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string File(const std::string& name = "money.ledger") const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace hongbao
