// Sources: who tells this monitor: every life of every client, server and card, and what is to be said of them.
//
// Owns one entry per life, a bounded number of them: those that ended in order can be forgotten when room is needed, and only
// their totals stay. A life is known by its role, address, start and process id, over as many connections as it needs.
// Never lines counts up (timeline does) nor judges money (account does).
// Thread tag: thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "tools/monitor/inlet.h"

namespace hongbao::monitor {

enum class Condition : uint8_t {
  kLiving,
  kSilent,    // nothing for kSilentNs, and it has not ended in order
  kEnded,     // its last record said so
  kReplaced,  // silent, and a new life of the same users has come
};

struct Source {
  uint32_t id = 0;
  wire::Role role = wire::Role::kClient;
  SocketAddress peer{};  // without its port
  uint64_t began_unix_ns = 0;
  uint64_t process_id = 0;
  uint64_t first_user = 0;
  uint64_t users = 0;
  uint64_t connection = 0;  // the newest; 0 = it has ended
  Condition condition = Condition::kLiving;
  int64_t came_ns = 0;   // monotonic, the first record
  int64_t heard_ns = 0;  // and the last
  int64_t first_s = 0;   // the first and the newest second it told of
  int64_t last_s = 0;
  int64_t off_s = 0;      // how far its clock is off, when its records cannot be lined up; 0 = they can
  int64_t exit_code = 0;  // once it has ended
  uint64_t records = 0;
  uint64_t repeated = 0;   // a second told twice
  uint64_t late = 0;       // of a second that had been printed
  uint64_t clock_off = 0;  // of another time than now
  uint32_t before = 0;     // the life of the same users that it took the place of; 0 = none
  uint32_t after = 0;      // the life that took its place; 0 = none
  wire::CounterRecord newest{};

  // "client 10.0.0.6 users 0-499999", with the process id where that says more.
  std::string Name() const;
  bool Overlaps(const Source& other) const;
};

// Whether `record` is not of an earlier time of its life than `other`: seconds begin anew when a process's clock is set.
bool NotBefore(const wire::CounterRecord& record, const wire::CounterRecord& other);
const char* RoleName(wire::Role role);
const char* ConditionName(Condition condition);

class Sources {
 public:
  static constexpr int64_t kSilentNs = 3'000'000'000;
  static constexpr int64_t kFutureS = 2;
  static constexpr int64_t kOldS = 120;
  static constexpr size_t kSourcesMax = 2'000;
  static constexpr size_t kRoom = 100;                   // for newcomers, as far as there are lives to forget
  static constexpr int64_t kForgetNs = 120'000'000'000;  // by then nobody speaks of the dead: no row waits so long

  enum class Verdict : uint8_t { kLineUp, kClockOff, kRefused };
  struct Taken {
    Source* source = nullptr;  // null when refused: there are too many
    Verdict verdict = Verdict::kRefused;
  };

  // A record has come, or a connection has ended. Times are this monitor's.
  Taken Take(const Arrival& arrival, int64_t wall_ns, int64_t monotonic_ns);
  // Who has fallen silent since? To be called about once a second.
  void Look(int64_t monotonic_ns);

  // When there is less than kRoom: the oldest lives that ended in order, each with all before it of the same users; about as
  // many again as kRoom.
  std::vector<uint32_t> OldestOver(int64_t monotonic_ns) const;
  // Nobody may ask for them any more. Their totals stay.
  void Forget(const std::vector<uint32_t>& ids);

  // What is left of the forgotten.
  struct Forgotten {
    uint64_t lives = 0;
    uint64_t late = 0, repeated = 0, clock_off = 0;
    std::array<std::array<uint64_t, wire::kRecordSlots>, wire::kRoles> total{};  // by role and slot
  };

  // What there is to say since the last call, in order.
  std::vector<std::string> TakeNews();

  const std::deque<Source>& all() const { return all_; }
  std::deque<Source>& all() { return all_; }
  Source& Of(uint32_t id) { return *Find(id); }
  const Source& Of(uint32_t id) const { return *Find(id); }
  const Forgotten& forgotten() const { return forgotten_; }
  uint64_t refused() const { return refused_; }

 private:
  // Role, address, start, process id; and the connection of a sender that does not say its life.
  using Key = std::tuple<uint64_t, SocketAddress, uint64_t, uint64_t, uint64_t>;

  Source* Find(uint32_t id);  // null: forgotten
  const Source* Find(uint32_t id) const { return const_cast<Sources*>(this)->Find(id); }
  Source* FindOrMake(const Arrival& arrival, int64_t monotonic_ns);
  void Welcome(Source& fresh);
  void TakePlace(Source& fresh, Source& old);
  void Judge(Source& source, int64_t off_s);
  void Say(std::string line);

  std::deque<Source> all_;  // in the order of ids; a deque, as pointers into it are handed out
  uint32_t newest_id_ = 0;
  Forgotten forgotten_;
  absl::flat_hash_map<Key, uint32_t> by_life_;
  absl::flat_hash_map<uint64_t, std::vector<uint32_t>> by_connection_;
  std::vector<std::string> news_;
  uint64_t refused_ = 0;
};

}  // namespace hongbao::monitor
