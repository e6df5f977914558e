#include "tools/monitor/sources.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/time/clock.h"

namespace hongbao::monitor {
namespace {

constexpr size_t kNewsMax = 200;  // of one look; a storm of sources is told by the counts

std::string Users(const Source& source) {
  if (source.users == 0 || source.role != wire::Role::kClient) {
    return "";
  }
  return source.users == 1 ? absl::StrCat(" user ", source.first_user)
                           : absl::StrCat(" users ", source.first_user, "-", source.first_user + (source.users - 1));
}

// As people say it: "59 m 58 s".
std::string Span(int64_t seconds) {
  const int64_t size = std::abs(seconds);
  return size < 120     ? absl::StrCat(size, " s")
         : size < 7'200 ? absl::StrCat(size / 60, " m ", size % 60, " s")
                        : absl::StrCat(size / 3'600, " h ", size / 60 % 60, " m");
}

}  // namespace

bool NotBefore(const wire::CounterRecord& record, const wire::CounterRecord& other) {
  const uint64_t steps = record.Total(wire::Slot::kClockSteps), others = other.Total(wire::Slot::kClockSteps);
  return steps != others && record.role != wire::Role::kNic ? steps > others : record.unix_s >= other.unix_s;
}

const char* RoleName(wire::Role role) {
  switch (role) {
    case wire::Role::kClient:
      return "client";
    case wire::Role::kServer:
      return "server";
    case wire::Role::kNic:
      return "nic";
  }
  return "?";
}

const char* ConditionName(Condition condition) {
  switch (condition) {
    case Condition::kLiving:
      return "living";
    case Condition::kSilent:
      return "silent";
    case Condition::kEnded:
      return "ended";
    case Condition::kReplaced:
      return "replaced";
  }
  return "?";
}

std::string Source::Name() const {
  return absl::StrCat(RoleName(role), " ", peer.HostToString(), Users(*this),
                      process_id == 0 ? "" : absl::StrCat(" (pid ", process_id, ")"));
}

bool Source::Overlaps(const Source& other) const {
  if (users == 0 || other.users == 0) {
    return false;
  }
  const uint64_t last = first_user + (users - 1), other_last = other.first_user + (other.users - 1);
  return first_user <= other_last && other.first_user <= last;
}

Sources::Taken Sources::Take(const Arrival& arrival, int64_t wall_ns, int64_t monotonic_ns) {
  if (arrival.ended) {
    if (const auto found = by_connection_.find(arrival.connection); found != by_connection_.end()) {
      for (const uint32_t id : found->second) {
        Source* const source = Find(id);
        if (source != nullptr && source->connection == arrival.connection) {
          source->connection = 0;
        }
      }
      by_connection_.erase(found);
    }
    return {};
  }
  Source* const source = FindOrMake(arrival, monotonic_ns);
  if (source == nullptr) {
    ++refused_;
    return {};
  }
  if (source->condition == Condition::kSilent) {
    Say(absl::StrCat(source->Name(), " is back"));
  }
  const wire::CounterRecord& record = arrival.record;
  source->condition = source->condition == Condition::kSilent ? Condition::kLiving : source->condition;
  source->heard_ns = monotonic_ns;
  ++source->records;
  const uint64_t steps = record.role == wire::Role::kNic ? 0 : record.Total(wire::Slot::kClockSteps);
  if (steps > source->newest.Total(wire::Slot::kClockSteps) && steps > 0) {
    const auto sum_ms = static_cast<int64_t>(record.Count(wire::Slot::kClockSteps));
    Say(absl::StrCat(source->Name(), ": its wall clock was set, in all by ", std::llround(static_cast<double>(sum_ms) * 1e-3),
                     " s (", steps, steps == 1 ? " step" : " steps", " so far)"));
  }
  if (NotBefore(record, source->newest)) {
    source->newest = record;
  }
  const int64_t off_s = record.unix_s - time::UnixSecond(wall_ns);
  const bool off = off_s > kFutureS || off_s < -kOldS;
  Judge(*source, off ? off_s : 0);
  source->clock_off += off ? 1 : 0;
  if (!off) {
    source->first_s = source->first_s == 0 ? record.unix_s : std::min(source->first_s, record.unix_s);
    source->last_s = std::max(source->last_s, record.unix_s);
  }
  if (record.Count(wire::Slot::kEnd) == 1 && source->condition != Condition::kEnded) {
    source->condition = Condition::kEnded;
    source->exit_code = static_cast<int64_t>(record.Total(wire::Slot::kEnd));
    Say(absl::StrCat(source->Name(), " has ended (exit code ", source->exit_code, ")"));
  }
  return {source, off ? Verdict::kClockOff : Verdict::kLineUp};
}

void Sources::Look(int64_t monotonic_ns) {
  for (Source& source : all_) {
    if (source.condition != Condition::kLiving || monotonic_ns - source.heard_ns < kSilentNs) {
      continue;
    }
    source.condition = Condition::kSilent;
    Say(absl::StrCat(source.Name(), " silent ", (monotonic_ns - source.heard_ns) / time::kNsPerSecond, " s",
                     source.connection == 0 ? ", its connection has ended" : ""));
    // It may have died before this was known, and be back already. Who came while it lived is somebody else.
    for (Source& later : all_) {
      if (later.id > source.id && later.came_ns >= source.heard_ns && later.before == 0 &&
          later.condition != Condition::kReplaced && later.role == source.role && later.role != wire::Role::kNic &&
          later.users > 0 && later.first_user == source.first_user && later.users == source.users &&
          (later.role == wire::Role::kClient || later.peer == source.peer) && source.connection == 0) {
        TakePlace(later, source);
        break;
      }
    }
  }
}

std::vector<uint32_t> Sources::OldestOver(int64_t monotonic_ns) const {
  const auto over = [monotonic_ns](const Source& source) {
    return source.connection == 0 && monotonic_ns - source.heard_ns >= kForgetNs;
  };
  std::vector<uint32_t> ids;
  if (all_.size() + kRoom <= kSourcesMax) {
    return ids;
  }
  for (const Source& last : all_) {
    if (ids.size() >= kRoom) {
      break;
    }
    if (last.condition != Condition::kEnded || last.after != 0) {
      continue;
    }
    std::vector<uint32_t> chain;
    bool all_over = true;
    for (uint32_t id = last.id; id != 0; id = Of(id).before) {
      chain.push_back(id);
      all_over &= over(Of(id));
    }
    if (all_over) {
      ids.insert(ids.end(), chain.begin(), chain.end());
    }
  }
  return ids;
}

void Sources::Forget(const std::vector<uint32_t>& ids) {
  for (const uint32_t id : ids) {
    const Source& source = Of(id);
    ++forgotten_.lives;
    forgotten_.late += source.late;
    forgotten_.repeated += source.repeated;
    forgotten_.clock_off += source.clock_off;
    for (size_t slot = 0; slot < wire::kRecordSlots; ++slot) {
      forgotten_.total[static_cast<size_t>(source.role)][slot] += source.newest.total[slot];
    }
    absl::erase_if(by_life_, [id](const auto& entry) { return entry.second == id; });
    std::erase_if(all_, [id](const Source& one) { return one.id == id; });
  }
}

Source* Sources::Find(uint32_t id) {
  // Ids ascend by one, and only those forgotten leave gaps: as a rule an id says where its source is.
  if (!all_.empty() && id >= all_.front().id) {
    const size_t at = id - all_.front().id;
    if (at < all_.size() && all_[at].id == id) {
      return &all_[at];
    }
  }
  const auto found =
      std::lower_bound(all_.begin(), all_.end(), id, [](const Source& one, uint32_t wanted) { return one.id < wanted; });
  return found != all_.end() && found->id == id ? &*found : nullptr;
}

std::vector<std::string> Sources::TakeNews() { return std::exchange(news_, {}); }

Source* Sources::FindOrMake(const Arrival& arrival, int64_t monotonic_ns) {
  const wire::CounterRecord& record = arrival.record;
  const uint64_t began = record.Count(wire::Slot::kLife), process = record.Total(wire::Slot::kLife);
  const Key key{static_cast<uint64_t>(record.role), arrival.peer, began, process, began == 0 ? arrival.connection : 0};
  const auto found = by_life_.find(key);
  if (found == by_life_.end() && all_.size() >= kSourcesMax) {
    return nullptr;
  }
  const uint32_t id = found != by_life_.end() ? found->second : newest_id_ + 1;
  if (found == by_life_.end()) {
    Source source{.id = id, .role = record.role, .peer = arrival.peer, .began_unix_ns = began, .process_id = process};
    if (record.role != wire::Role::kNic) {
      source.first_user = record.Count(wire::Slot::kUsers);
      source.users = record.Total(wire::Slot::kUsers);
    }
    source.came_ns = source.heard_ns = monotonic_ns;
    source.connection = arrival.connection;
    newest_id_ = id;
    by_life_.emplace(key, id);
    all_.push_back(source);
    Welcome(all_.back());
  }
  Source& source = Of(id);
  std::vector<uint32_t>& on_connection = by_connection_[arrival.connection];
  if (std::find(on_connection.begin(), on_connection.end(), id) == on_connection.end()) {
    on_connection.push_back(id);
  }
  source.connection = arrival.connection;
  return &source;
}

// Whose place does it take, and with whom does it clash?
void Sources::Welcome(Source& fresh) {
  Say(absl::StrCat(fresh.Name(), " has come"));
  if (fresh.role == wire::Role::kNic) {
    return;
  }
  for (auto old = all_.rbegin(); old != all_.rend(); ++old) {
    const bool same = old->role == fresh.role && old->first_user == fresh.first_user && old->users == fresh.users &&
                      fresh.users > 0 && (fresh.role == wire::Role::kClient || old->peer == fresh.peer);
    const bool dead = old->condition == Condition::kSilent || (old->condition == Condition::kLiving && old->connection == 0);
    if (old->id != fresh.id && same && dead) {
      TakePlace(fresh, *old);
      break;
    }
  }
  for (const Source& other : all_) {
    if (other.id != fresh.id && other.role == wire::Role::kClient && fresh.role == other.role &&
        other.condition == Condition::kLiving && fresh.Overlaps(other)) {
      Say(absl::StrCat("warning: ", fresh.Name(), " has users in common with ", other.Name(),
                       ": each of these users can have one session only, and the money is counted for both"));
    }
  }
}

void Sources::TakePlace(Source& fresh, Source& old) {
  fresh.before = old.id;
  old.after = fresh.id;
  old.condition = Condition::kReplaced;
  Say(absl::StrCat(fresh.Name(), " goes on for ", old.Name(), ", which did not end in order"));
}

// Says it when it begins, and when it is over.
void Sources::Judge(Source& source, int64_t off_s) {
  if ((off_s != 0) != (source.off_s != 0)) {
    Say(off_s == 0 ? absl::StrCat(source.Name(), ": its clock is right again")
                   : absl::StrCat("warning: ", source.Name(), ": its clock is ", Span(off_s), off_s > 0 ? " ahead" : " behind",
                                  "; its seconds cannot be lined up, its money counts"));
  }
  source.off_s = off_s;
}

void Sources::Say(std::string line) {
  if (news_.size() < kNewsMax) {
    news_.push_back(std::move(line));
  }
}

}  // namespace hongbao::monitor
