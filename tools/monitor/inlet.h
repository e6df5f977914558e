// Inlet: what the connections hand over to the thread that lines up and prints.
//
// Owns the arrivals that nobody has taken yet, a bounded number. A mutex is right here: a few records a second come
// through it, and the thread that prints may wait for a slow terminal or disk without a connection noticing.
// Thread tag: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "libhongbao/address.h"
#include "libhongbao/wire/counter_record.h"

namespace hongbao::monitor {

// Why a connection was ended by us, or a record not taken. One counter each.
enum class Refusal : uint32_t {
  kMalformed,  // no record: no such role, no such time
  kShort,      // a record began and was not whole in time, or the connection ended within it
  kFlood,      // more records than seconds have passed
  kNoRoom,     // the inlet was full
  kCount
};

inline constexpr const char* kRefusalNames[] = {"malformed", "short", "flood", "no_room"};
static_assert(std::size(kRefusalNames) == static_cast<size_t>(Refusal::kCount));

struct Arrival {
  uint64_t connection = 0;  // a number of its own for each
  SocketAddress peer{};     // without its port
  bool ended = false;       // the connection has; there is no record
  wire::CounterRecord record{};
};

class Inlet {
 public:
  explicit Inlet(size_t room = 8'192) : room_(room) {}

  // An end always finds room: there are no more of them than connections.
  void Put(const Arrival& arrival) {
    const std::lock_guard lock(mutex_);
    if (!arrival.ended && waiting_.size() >= room_) {
      ++refused_[static_cast<size_t>(Refusal::kNoRoom)];
      return;
    }
    waiting_.push_back(arrival);
  }
  void Refuse(Refusal why) {
    const std::lock_guard lock(mutex_);
    ++refused_[static_cast<size_t>(why)];
  }

  std::vector<Arrival> TakeAll() {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }
  uint64_t refused(Refusal why) const {
    const std::lock_guard lock(mutex_);
    return refused_[static_cast<size_t>(why)];
  }

 private:
  const size_t room_;
  mutable std::mutex mutex_;
  std::vector<Arrival> waiting_;
  uint64_t refused_[static_cast<size_t>(Refusal::kCount)] = {};
};

}  // namespace hongbao::monitor
