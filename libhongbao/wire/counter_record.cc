#include "libhongbao/wire/counter_record.h"

#include "libhongbao/wire/bytes.h"

namespace hongbao::wire {
namespace {

constexpr uint64_t kSecondMax = 9'000'000'000;  // its nanoseconds fit int64

}  // namespace

void EncodeCounterRecord(std::byte* out, const CounterRecord& record) {
  StoreU64(out, static_cast<uint64_t>(record.unix_s));
  StoreU64(out + 8, static_cast<uint64_t>(record.role));
  for (size_t i = 0; i < kRecordSlots; ++i) {
    StoreU64(out + 16 + 8 * i, record.count[i]);
    StoreU64(out + 16 + 8 * (kRecordSlots + i), record.total[i]);
  }
}

bool DecodeCounterRecord(absl::Span<const std::byte> in, CounterRecord& record) {
  const uint64_t second = LoadU64(in.data());
  const uint64_t role = LoadU64(in.data() + 8);
  if (second > kSecondMax || role >= kRoles) {
    return false;
  }
  record.unix_s = static_cast<int64_t>(second);
  record.role = static_cast<Role>(role);
  for (size_t i = 0; i < kRecordSlots; ++i) {
    record.count[i] = LoadU64(in.data() + 16 + 8 * i);
    record.total[i] = LoadU64(in.data() + 16 + 8 * (kRecordSlots + i));
  }
  return true;
}

}  // namespace hongbao::wire
