#include "libhongbao/wire/counter_record.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/wire/vectors.h"

namespace hongbao::wire {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Encoded(const CounterRecord& record) {
  Bytes bytes(kCounterRecordBytes + 8, std::byte{0xaa});
  EncodeCounterRecord(bytes.data(), record);
  for (size_t i = kCounterRecordBytes; i < bytes.size(); ++i) {
    EXPECT_EQ(bytes[i], std::byte{0xaa}) << "wrote behind the record";
  }
  bytes.resize(kCounterRecordBytes);
  return bytes;
}

TEST(CounterRecord, LaysItselfOutAsThePrototypeDid) {
  CounterRecord record{.unix_s = 1'486'824'165, .role = Role::kServer};
  record.Set(Slot::kRequests, 60'000, 0x0102030405060708);
  record.Set(Slot::kEnd, 1, 2);
  const Bytes bytes = Encoded(record);
  const auto hex = [&](size_t from) { return ToHex({bytes.data() + from, 8}); };
  EXPECT_EQ(hex(0), "00000000589f22e5");
  EXPECT_EQ(hex(8), "0000000000000001");
  EXPECT_EQ(hex(16 + 8 * 10), "000000000000ea60");
  EXPECT_EQ(hex(16 + 8 * 60 + 8 * 10), "0102030405060708");
  EXPECT_EQ(hex(16 + 8 * 57), "0000000000000001");
  EXPECT_EQ(hex(16 + 8 * 60 + 8 * 57), "0000000000000002");
}

TEST(CounterRecord, ComesBackWhole) {
  CounterRecord record{.unix_s = 7, .role = Role::kNic};
  for (size_t i = 0; i < kRecordSlots; ++i) {
    record.count[i] = i * 0x0101010101010101;
    record.total[i] = ~i;
  }
  CounterRecord back;
  ASSERT_TRUE(DecodeCounterRecord(Encoded(record), back));
  EXPECT_EQ(back, record);
}

TEST(CounterRecord, RefusesWhatIsNoRecord) {
  CounterRecord back;
  Bytes bytes = Encoded({.unix_s = 9'000'000'000, .role = Role::kServer});
  EXPECT_TRUE(DecodeCounterRecord(bytes, back));
  bytes[15] = std::byte{3};
  EXPECT_FALSE(DecodeCounterRecord(bytes, back)) << "no such role";
  bytes = Encoded({.unix_s = 9'000'000'001});
  EXPECT_FALSE(DecodeCounterRecord(bytes, back)) << "a second beyond time";
  bytes = Encoded({.unix_s = -1});
  EXPECT_FALSE(DecodeCounterRecord(bytes, back));
}

}  // namespace
}  // namespace hongbao::wire
