#include "tools/monitor/account.h"

#include <algorithm>
#include <limits>

namespace hongbao::monitor {
namespace {

// Of senders we do not know: the sum over as many sources as there may be still fits.
constexpr uint64_t kFenMax = 2'000'000'000'000'000;
static_assert(kFenMax * 2 * Sources::kSourcesMax < uint64_t{std::numeric_limits<int64_t>::max()});

void AddTo(Sums& sums, const Source& source, int64_t done_fen, int64_t left_fen) {
  if (source.role == wire::Role::kServer) {
    sums.given_fen += done_fen;
    sums.left_fen += left_fen;
  } else {
    sums.got_fen += done_fen;
  }
}

bool LeftBehind(const wire::CounterRecord& end) {
  using wire::Slot;
  return (end.Total(Slot::kLost) | end.Count(Slot::kOutstanding) | end.Total(Slot::kOutstanding)) != 0;
}

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
  const uint64_t steps = record.Total(Slot::kClockSteps);
  if (steps != life.left_steps ? steps > life.left_steps : record.unix_s >= life.left_s) {
    life.left_fen = Fen(record.Total(Slot::kLeft));
    life.left_s = record.unix_s;
    life.left_steps = steps;
  }
}

// What it told, or what the life after it shows that it had done. Bases come in while users log in: until then, and for ever
// when that life dies meanwhile, what was told is the larger. So bases are compared along the whole chain of lives, not from
// one to the next. A life comes before those after it: ids are in the order of their coming.
Account::DoneByLife Account::DoneByAll(const Sources& sources) const {
  DoneByLife all;
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    const auto before = all.find(source.before);
    const int64_t base_fen = before == all.end() ? life.base_fen : before->second.chain_base_fen;
    const int64_t before_fen = before == all.end() ? 0 : before->second.chain_fen;
    const int64_t told_fen = before_fen + life.told_fen;
    const auto after = lives_.find(source.after);
    const int64_t shown_fen = after == lives_.end() ? 0 : after->second.base_fen - base_fen;
    const int64_t chain_fen = std::max(told_fen, shown_fen);
    all[id] = {.fen = chain_fen - before_fen,
               .known = source.after == 0 || (after != lives_.end() && shown_fen >= told_fen),
               .chain_base_fen = base_fen,
               .chain_fen = chain_fen};
  }
  for (auto one = all.rbegin(); one != all.rend(); ++one) {  // what a later life knows it knows of all before it
    const auto after = all.find(sources.Of(one->first).after);
    one->second.known |= after != all.end() && sources.Of(after->first).after != 0 && after->second.known;
  }
  return all;
}

Sums Account::Look(const Sources& sources) const { return SumsOf(sources, DoneByAll(sources)); }

Sums Account::SumsOf(const Sources& sources, const DoneByLife& done) const {
  Sums sums = forgotten_.sums;
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    AddTo(sums, source, done.at(id).fen, LeftIsInALaterLife(source, life, sources) ? 0 : life.left_fen);
  }
  return sums;
}

// A server that died has a life after it. One that ended in order has a successor on its ledger if a server of the same address
// and users began after its end and found all there that it had known: another ledger knows less, or nothing.
bool Account::LeftIsInALaterLife(const Source& source, const Life& life, const Sources& sources) const {
  if (source.role != wire::Role::kServer || source.after != 0) {
    return source.after != 0;
  }
  if (source.condition != Condition::kEnded) {
    return false;
  }
  for (auto later = lives_.upper_bound(source.id); later != lives_.end(); ++later) {
    const Source& other = sources.Of(later->first);
    if (other.role == source.role && other.peer == source.peer && other.users == source.users &&
        other.began_unix_ns / 1'000'000'000 >= static_cast<uint64_t>(std::max<int64_t>(source.newest.unix_s, 0)) &&
        later->second.base_fen >= life.base_fen + life.told_fen) {
      return true;
    }
  }
  return false;
}

uint64_t Account::FirstServerNs(const Sources& sources) const {
  uint64_t first_ns = forgotten_server_ns_;
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    first_ns = source.role == wire::Role::kServer ? std::min(first_ns, source.began_unix_ns) : first_ns;
  }
  return first_ns;
}

// What lives we know had brought these users is in the sums, and in the later lives' bases: not a stranger's.
std::map<uint32_t, int64_t> Account::UnseenByAll(const Sources& sources, const DoneByLife& done) const {
  const uint64_t first_server_ns = FirstServerNs(sources);
  std::map<uint32_t, int64_t> unseen_fen;
  std::vector<std::pair<const Source*, int64_t>> clients;  // those before, and what their users had got by them
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    if (source.role != wire::Role::kClient) {
      continue;
    }
    clients.emplace_back(&source, done.at(id).fen);
    if (source.before != 0 || source.began_unix_ns <= first_server_ns || life.base_fen == 0) {
      continue;
    }
    int64_t known_fen = 0;
    for (const auto& [users, of_users] : forgotten_users_) {
      const Source earlier{.first_user = users.first, .users = users.second};
      known_fen += of_users.last_id < id && earlier.Overlaps(source) ? of_users.fen : 0;
    }
    for (const auto& [earlier, fen] : clients) {
      known_fen += earlier != &source && earlier->Overlaps(source) ? fen : 0;
    }
    unseen_fen[id] = std::max<int64_t>(0, life.base_fen - known_fen);
    clients.back().second += unseen_fen[id];
  }
  return unseen_fen;
}

void Account::JudgeLife(const Source& source, const Done& done, Closing& closing) const {
  closing.servers |= source.role == wire::Role::kServer;
  closing.clients |= source.role == wire::Role::kClient;
  closing.in_order &= source.condition == Condition::kEnded || (source.condition == Condition::kReplaced && done.known);
  if (source.condition == Condition::kSilent || (source.condition == Condition::kLiving && source.connection == 0)) {
    closing.never_back.push_back(source.id);
  }
  if (source.condition == Condition::kReplaced && !done.known) {
    closing.not_known.push_back(source.id);
  }
  if (source.role == wire::Role::kClient && source.condition == Condition::kEnded && LeftBehind(source.newest)) {
    closing.left_behind = true;
    closing.unanswered.push_back(source.id);
  }
}

void Account::Forget(const std::vector<uint32_t>& ids, const Sources& sources) {
  const DoneByLife done = DoneByAll(sources);
  std::map<uint32_t, int64_t> unseen_fen = UnseenByAll(sources, done);
  const uint64_t first_server_ns = FirstServerNs(sources);
  for (const uint32_t id : ids) {
    const auto life = lives_.find(id);
    if (life == lives_.end()) {
      continue;  // a network card
    }
    const Source& source = sources.Of(id);
    const int64_t done_fen = done.at(id).fen;
    AddTo(forgotten_.sums, source, done_fen, LeftIsInALaterLife(source, life->second, sources) ? 0 : life->second.left_fen);
    JudgeLife(source, done.at(id), forgotten_);
    if (source.role == wire::Role::kServer) {
      forgotten_.ledger_fen += source.before == 0 ? life->second.base_fen : 0;
      forgotten_server_ns_ = std::min(forgotten_server_ns_, source.began_unix_ns);
    } else {
      forgotten_.unseen_fen += unseen_fen[id];
      forgotten_.older_fen += source.began_unix_ns < first_server_ns ? done_fen : 0;
      const std::pair<uint64_t, uint64_t> users{source.first_user, source.users};
      if (forgotten_users_.count(users) > 0 || forgotten_users_.size() < Sources::kSourcesMax) {
        OfUsers& of_users = forgotten_users_[users];
        of_users.fen += done_fen + unseen_fen[id];
        of_users.last_id = std::max(of_users.last_id, id);
      }
    }
  }
  for (const uint32_t id : ids) {
    lives_.erase(id);
  }
  forgotten_.never_back = forgotten_.not_known = forgotten_.unanswered = {};  // they have no names any more
}

Closing Account::Close(const Sources& sources) const {
  const DoneByLife done = DoneByAll(sources);
  const uint64_t first_server_ns = FirstServerNs(sources);
  Closing closing = forgotten_;
  closing.sums = SumsOf(sources, done);
  for (const auto& [id, fen] : UnseenByAll(sources, done)) {
    closing.unseen_fen += fen;
  }
  for (const auto& [id, life] : lives_) {
    const Source& source = sources.Of(id);
    if (source.role == wire::Role::kServer) {
      closing.ledger_fen += source.before == 0 ? life.base_fen : 0;
    } else {
      closing.older_fen += source.began_unix_ns < first_server_ns ? done.at(id).fen : 0;
    }
    JudgeLife(source, done.at(id), closing);
  }
  return closing;
}

bool Closing::Broken() const {
  const int64_t difference = sums.difference_fen();
  const bool explained =
      difference > 0 ? difference <= unseen_fen || left_behind : -difference <= std::min(older_fen, ledger_fen);
  return servers && clients && in_order && difference != 0 && !explained;
}

}  // namespace hongbao::monitor
