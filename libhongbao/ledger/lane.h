// Lane: records from one worker to the ledger's thread, first in first out.
//
// Owns a handover that never refuses: the worker has no more records under way than its credits, which the lane is made for.
// Never wakes anybody: the ledger does. Thread tag: Push for the one producer, Pop and Empty for the one consumer.
#pragma once

#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/handover.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::ledger {

class Lane {
 public:
  explicit Lane(uint32_t capacity) : records_(capacity) {}

  void Push(const Record& record) { Check(records_.Push(record), "a worker submits no more records than it has credits"); }
  bool Pop(Record& record) { return records_.Pop(record); }
  bool Empty() const { return records_.Empty(); }  // the last look before the consumer sleeps, see SqliteLedger::Wait

 private:
  Handover<Record> records_;
};

}  // namespace hongbao::ledger
