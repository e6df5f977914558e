// Show: a count as lines for people or as one JSON document.
//
// Owns the layout. Never prints. Thread tag: thread-safe (pure functions).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tools/conns_program/dump.h"
#include "tools/conns_program/tally.h"

namespace hongbao::conns {

struct Shown {
  By by = By::kPort;
  size_t top = 20;  // rows at most; 0: all
  uint32_t states = kEstablished;
  int64_t unix_s = 0;
  int64_t took_us = 0;
};

// "port 1025  1,000,000 established from 16 peers", one a line, and a last line with the total. `prefix` begins each
// line.
std::string ShowLines(const Tally& tally, const Shown& shown, const std::string& prefix);
// On one line.
std::string ShowJson(const Tally& tally, const DumpTold& told, const Shown& shown);

}  // namespace hongbao::conns
