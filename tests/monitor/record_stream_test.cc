#include "tools/monitor/record_stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace hongbao::monitor {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Three() {
  Bytes bytes(3 * wire::kCounterRecordBytes);
  for (int64_t i = 0; i < 3; ++i) {
    wire::EncodeCounterRecord(bytes.data() + i * static_cast<int64_t>(wire::kCounterRecordBytes), {.unix_s = i + 1});
  }
  return bytes;
}

TEST(RecordStream, FindsTheSameRecordsHoweverTheStreamIsCut) {
  const Bytes bytes = Three();
  for (const size_t piece : std::vector<size_t>{1, 2, 255, 975, 976, 977, 2'000, bytes.size()}) {
    RecordStream stream;
    std::vector<int64_t> seconds;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const size_t size = std::min(piece, bytes.size() - at);
      ASSERT_TRUE(stream.Take({bytes.data() + at, size}, 7, [&](const auto& record) { seconds.push_back(record.unix_s); }));
    }
    EXPECT_EQ(seconds, (std::vector<int64_t>{1, 2, 3})) << piece;
    EXPECT_EQ(stream.began_ns(), 0) << piece;
    EXPECT_FALSE(stream.holds_memory()) << piece;
  }
}

TEST(RecordStream, KnowsSinceWhenARecordIsNotWhole) {
  const Bytes bytes = Three();
  const auto ignore = [](const auto&) {};
  RecordStream stream;
  EXPECT_EQ(stream.began_ns(), 0);
  ASSERT_TRUE(stream.Take({bytes.data(), 100}, 5, ignore));
  ASSERT_TRUE(stream.Take({bytes.data() + 100, 100}, 6, ignore));
  EXPECT_EQ(stream.began_ns(), 5) << "its first byte counts: a trickle extends nothing";
  ASSERT_TRUE(stream.Take({bytes.data() + 200, 976}, 9, ignore));
  EXPECT_EQ(stream.began_ns(), 9) << "the next one's";
}

TEST(RecordStream, RefusesWhatIsNoRecord) {
  Bytes bytes = Three();
  bytes[976 + 15] = std::byte{9};  // the second one's role
  RecordStream stream;
  int records = 0;
  EXPECT_FALSE(stream.Take(bytes, 1, [&](const auto&) { ++records; }));
  EXPECT_EQ(records, 1);
  RecordStream cut;
  EXPECT_TRUE(cut.Take({bytes.data() + 976, 900}, 1, [&](const auto&) { ++records; }));
  EXPECT_FALSE(cut.Take({bytes.data() + 976 + 900, 76}, 1, [&](const auto&) { ++records; }));
  EXPECT_EQ(records, 1);
}

}  // namespace
}  // namespace hongbao::monitor
