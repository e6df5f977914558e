#include "libhongbao/cli/json_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace hongbao::cli {
namespace {

struct Pipe {
  Pipe() {
    EXPECT_EQ(pipe(ends), 0);
    out = fdopen(ends[1], "w");
  }
  ~Pipe() {
    std::fclose(out);
    close(ends[0]);
  }
  std::string Read() const {
    char text[512];
    const ssize_t length = read(ends[0], text, sizeof text);
    return {text, length > 0 ? static_cast<size_t>(length) : 0};
  }
  int ends[2];
  std::FILE* out;
};

TEST(JsonLines, EachDocumentIsALineThatIsThereAtOnce) {
  const Pipe pipe;
  JsonLines lines(pipe.out);
  lines.Write({{"unix_s", 1'486'824'165}, {"name", "two\nlines"}});
  EXPECT_EQ(pipe.Read(), "{\"name\":\"two\\nlines\",\"unix_s\":1486824165}\n");
  lines.Write(nlohmann::json::array({1, nullptr}));
  EXPECT_EQ(pipe.Read(), "[1,null]\n");
}

TEST(JsonLines, WhatIsNoTextIsReplaced) {
  const Pipe pipe;
  JsonLines lines(pipe.out);
  lines.Write({{"name", "caf\xe9"}});
  EXPECT_EQ(nlohmann::json::parse(pipe.Read())["name"], "caf\xef\xbf\xbd");
}

TEST(JsonLines, AReaderThatIsGoneEndsTheLinesAlone) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  JsonLines lines(pipe.out);
  close(pipe.ends[0]);
  for (int i = 0; i < 3; ++i) {
    lines.Write(i);
  }
  pipe.ends[0] = open("/dev/null", 0);
}

}  // namespace
}  // namespace hongbao::cli
