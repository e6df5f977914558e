#include "tools/monitor/account.h"

#include <algorithm>
#include <limits>

namespace hongbao::monitor {
namespace {

// Of senders we do not know: the sum over as many sources as there may be still fits.
constexpr uint64_t kFenMax = 2'000'000'000'000'000;
static_assert(kFenMax * 2 * Sources::kSourcesMax < uint64_t{std::numeric_limits<int64_t>::max()});

int64_t Fen(uint64_t told) { return static_cast<int64_t>(std::min(told, kFenMax)); }

}  // namespace

void Account::Tell(uint32_t source, const wire::CounterRecord& record) {
  using wire::Slot;
  if (record.role == wire::Role::kNic) {
    return;
  }
  Life& life = lives_[source];
  const int64_t told_fen = Fen(record.Total(Slot::kShakeReceivedFen)) + Fen(record.Total(Slot::kSharesReceivedFen));
  life.told_fen = std::max(life.told_fen, told_fen);
  life.base_fen = std::max(life.base_fen, Fen(record.Count(Slot::kBase)));
  if (record.unix_s >= life.left_s) {
    life.left_fen = Fen(record.Total(Slot::kLeft));
    life.left_s = record.unix_s;
  }
}

// What it told, or what the life after it shows that it had done. Bases come in while users log in: until then the first is
// the larger.
int64_t Account::DoneBy(const Source& source, const Life& life) const {
  const auto after = lives_.find(source.after);
  return source.after == 0 || after == lives_.end() ? life.told_fen
                                                    : std::max(life.told_fen, after->second.base_fen - life.base_fen);
}

Sums Account::Look(const Sources& sources) const {
  Sums sums;
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    if (source.role == wire::Role::kServer) {
      sums.given_fen += DoneBy(source, life);
      sums.left_fen += source.after == 0 ? life.left_fen : 0;
    } else {
      sums.got_fen += DoneBy(source, life);
    }
  }
  return sums;
}

// What lives we know had brought these users is in the sums, and in the later lives' bases: not a stranger's.
int64_t Account::Unseen(const Sources& sources) const {
  uint64_t first_server_ns = std::numeric_limits<uint64_t>::max();
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    first_server_ns = source.role == wire::Role::kServer ? std::min(first_server_ns, source.began_unix_ns) : first_server_ns;
  }
  std::map<uint32_t, int64_t> unseen_fen;  // by source
  int64_t sum_fen = 0;
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    if (source.role != wire::Role::kClient || source.before != 0 || source.began_unix_ns <= first_server_ns) {
      continue;
    }
    int64_t known_fen = 0;
    for (const auto& [other_id, other] : lives_) {
      const Source& earlier = sources.Of(other_id);
      const bool ours = other_id < id && earlier.role == source.role && earlier.Overlaps(source);
      known_fen += ours ? DoneBy(earlier, other) + unseen_fen[other_id] : 0;
    }
    sum_fen += unseen_fen[id] = std::max<int64_t>(0, life.base_fen - known_fen);
  }
  return sum_fen;
}

Closing Account::Close(const Sources& sources) const {
  Closing closing{.sums = Look(sources), .unseen_fen = Unseen(sources)};
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    closing.servers |= source.role == wire::Role::kServer;
    closing.clients |= source.role == wire::Role::kClient;
    closing.in_order &= source.condition == Condition::kEnded || source.condition == Condition::kReplaced;
    if (source.condition == Condition::kSilent || (source.condition == Condition::kLiving && source.connection == 0)) {
      closing.never_back.push_back(id);
    }
  }
  return closing;
}

bool Closing::Broken() const {
  const int64_t difference = sums.difference_fen();
  const bool strangers = difference > 0 && difference <= unseen_fen;
  return servers && clients && in_order && difference != 0 && !strangers;
}

}  // namespace hongbao::monitor
