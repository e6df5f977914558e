// Any bytes, in any pieces, from any number of connections: the records found never depend on the pieces, nothing is read
// beyond the bytes given, and a whole monitor that is told of them gives every second out once, in order.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "libhongbao/check.h"
#include "tools/monitor/monitor.h"
#include "tools/monitor/record_stream.h"
#include "tools/monitor/status.h"

namespace hongbao::monitor {
namespace {

using Bytes = absl::Span<const std::byte>;

struct Outcome {
  std::vector<wire::CounterRecord> records;
  bool sound = true;
  bool operator==(const Outcome&) const = default;
};

// `chunk(n)`: how many of the n bytes still to come arrive next (>= 1).
template <typename Chunk>
Outcome Receive(Bytes bytes, Chunk chunk) {
  Outcome outcome;
  RecordStream stream;
  while (!bytes.empty() && outcome.sound) {
    const size_t size = chunk(bytes.size());
    const auto exact = std::make_unique<std::byte[]>(size);  // so that AddressSanitizer sees a read past them
    std::copy_n(bytes.begin(), size, exact.get());
    outcome.sound = stream.Take({exact.get(), size}, 1, [&](const auto& record) { outcome.records.push_back(record); });
    bytes.remove_prefix(size);
    Check(!outcome.sound || stream.holds_memory() == (stream.began_ns() != 0), "memory is held for a record that has begun only");
  }
  return outcome;
}

// Records of few values: lives, users and seconds that meet each other, as random bytes never would.
wire::CounterRecord Tame(Bytes bytes, int64_t now_s) {
  wire::CounterRecord record{.unix_s = now_s + static_cast<int64_t>(bytes[0]) % 8 - 4};
  record.role = static_cast<wire::Role>(static_cast<uint64_t>(bytes[1]) % wire::kRoles);
  record.Set(wire::Slot::kLife, static_cast<uint64_t>(bytes[2]) % 4, static_cast<uint64_t>(bytes[3]) % 2);
  record.Set(wire::Slot::kUsers, static_cast<uint64_t>(bytes[4]) % 4 * 50, static_cast<uint64_t>(bytes[5]) % 4 * 50);
  record.Set(wire::Slot::kShakeReceivedFen, 0, static_cast<uint64_t>(bytes[6]) << 48);
  record.Set(wire::Slot::kBase, static_cast<uint64_t>(bytes[7]) << 56, 0);
  record.Set(wire::Slot::kEnd, static_cast<uint64_t>(bytes[3]) == 7 ? 1 : 0, 0);
  return record;
}

// Eight bytes are one thing that happens.
void Live(Bytes bytes) {
  constexpr int64_t kSecond = 1'000'000'000;
  Monitor monitor(3 * kSecond);
  int64_t now_s = 1'000, newest_s = 0;
  const auto look = [&](bool all) {
    for (const Told& told : monitor.Rows(now_s * kSecond, all)) {
      Check(told.row[watch::Column::kUnixS] > newest_s, "seconds come in order, once");
      newest_s = told.row[watch::Column::kUnixS];
      Check(!told.sources.empty(), "somebody told of it");
    }
  };
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    const auto what = static_cast<uint64_t>(bytes[7]) % 4;
    const uint64_t connection = static_cast<uint64_t>(bytes[6]) % 5;
    now_s += what == 0 ? 1 : 0;
    monitor.Take({.connection = connection, .peer = SocketAddress::Ipv4(1), .ended = what == 1, .record = Tame(bytes, now_s)},
                 now_s * kSecond, now_s * kSecond);
    look(false);
  }
  look(true);
  monitor.Publish();
  Check(!monitor.ClosingText().empty() && StatusJson(monitor.Look()).is_object() && monitor.ReportJson().is_object(),
        "it can be told");
}

}  // namespace
}  // namespace hongbao::monitor

// First byte: seed of the pieces; the rest: the stream, and the story.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hongbao::monitor;
  if (size < 1) return 0;
  uint32_t state = data[0];
  const Bytes given(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  // Inputs are short and records long: the bytes again and again make some. Eight zeros in front of each second copy, or
  // its time would be beyond all time.
  std::vector<std::byte> stream;
  while (!given.empty() && stream.size() < 4'000) {
    stream.insert(stream.end(), 15, std::byte{0});
    stream.insert(stream.end(), given.begin(), given.end());
  }
  const Outcome whole = Receive(stream, [](size_t left) { return left; });
  const Outcome pieces = Receive(stream, [&state](size_t left) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator: any will do
    return 1 + (state >> 16) % (left < 1'500 ? left : 1'500);
  });
  hongbao::Check(whole == pieces, "how a stream is cut never changes what is found in it");
  Live(given);
  return 0;
}
