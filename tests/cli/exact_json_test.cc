#include "libhongbao/cli/exact_json.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace hongbao::cli {
namespace {

constexpr int64_t kExact = 9'007'199'254'740'991;

TEST(ExactJsonTest, ANumberThatDoublesRoundStandsBesideAsText) {
  EXPECT_EQ(Dump({{"a", kExact}, {"b", -kExact}, {"c", 1.5e300}}, -1),
            R"({"a":9007199254740991,"b":-9007199254740991,"c":1.5e+300})");
  EXPECT_EQ(Dump({{"a", kExact + 2}}, -1), R"({"a":9007199254740993,"a_text":"9007199254740993"})");
  EXPECT_EQ(Dump({{"deep", {{{"seed", UINT64_MAX}}}}}, -1),
            R"({"deep":[{"seed":18446744073709551615,"seed_text":"18446744073709551615"}]})");
  EXPECT_EQ(Dump({{"a", INT64_MIN}}, -1), R"({"a":-9223372036854775808,"a_text":"-9223372036854775808"})");
}

}  // namespace
}  // namespace hongbao::cli
