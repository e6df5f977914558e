// Account: the money of all lives: what servers have given, what clients have got, and whether the two are the same.
//
// Owns what each life has told. A life that died had done more than it told; the life after it says how much users had by
// then (its base), and base less base is what the dead life had done in all. Never judges a life that it was not told of.
// Thread tag: thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "tools/monitor/sources.h"

namespace hongbao::monitor {

struct Sums {
  int64_t given_fen = 0;
  int64_t got_fen = 0;
  int64_t left_fen = 0;    // shake envelopes that nobody has won
  int64_t difference_fen() const { return given_fen - got_fen; }
};

// The account as it stands at the end.
struct Closing {
  Sums sums;
  int64_t unseen_fen = 0;  // that users had got before the first life of theirs that we know, while a server of ours was there
  bool in_order = true;  // everybody who matters has ended, or what they did is known from the life after
  bool servers = false, clients = false;  // whether there were any
  std::vector<uint32_t> never_back;  // sources that died, and no life came after: what they did last is not known

  // The difference is a loss: nothing explains it.
  bool Broken() const;
};

class Account {
 public:
  // The totals of a record. Of totals the highest counts: they never shrink, whatever order they come in.
  void Tell(uint32_t source, const wire::CounterRecord& record);

  Sums Look(const Sources& sources) const;
  Closing Close(const Sources& sources) const;

 private:
  struct Life {
    int64_t told_fen = 0;
    int64_t base_fen = 0;
    int64_t left_fen = 0;
    int64_t left_s = 0;  // the second it was told of
  };

  int64_t Unseen(const Sources& sources) const;
  int64_t DoneBy(const Source& source, const Life& life) const;

  std::map<uint32_t, Life> lives_;
};

}  // namespace hongbao::monitor
