#include "tools/conns_program/port_filter.h"

#include <linux/inet_diag.h>

#include <cstring>

#include "libhongbao/check.h"

namespace hongbao::conns {
namespace {

constexpr size_t kOpBytes = sizeof(inet_diag_bc_op);

// The kernel accepts a socket where the program arrives exactly at its end, and refuses it where a jump leads an op
// beyond. Tests go on behind themselves when they hold; where they go when they do not is aimed at later. Offsets are
// in bytes and 16 bits.
class Program {
 public:
  size_t here() const { return ops_.size(); }
  // Its number, for Aim.
  size_t Test(uint8_t code, uint16_t port) {
    ops_.push_back({.code = code, .yes = 2 * kOpBytes, .no = 0});
    ops_.push_back({.code = 0, .yes = 0, .no = port});
    return ops_.size() - 2;
  }
  size_t Jump() {
    ops_.push_back({.code = INET_DIAG_BC_JMP, .yes = kOpBytes, .no = 0});
    return ops_.size() - 1;
  }
  void Aim(size_t from, size_t to) { ops_[from].no = static_cast<uint16_t>((to - from) * kOpBytes); }
  void AimAllBeyondEnd(const std::vector<size_t>& tests) {
    for (const size_t test : tests) Aim(test, here() + 1);
  }
  std::vector<std::byte> Bytes() const {
    std::vector<std::byte> bytes(ops_.size() * kOpBytes);
    if (!bytes.empty()) std::memcpy(bytes.data(), ops_.data(), bytes.size());
    return bytes;
  }

 private:
  std::vector<inet_diag_bc_op> ops_;
};

static_assert((kPortRangesMax * 5 + 1) * kOpBytes < 65'536, "the jumps of the filter are 16 bits");

// Goes on behind itself with a local port of any range. Returns the tests that refuse when they do not hold.
std::vector<size_t> AddRanges(Program& program, absl::Span<const PortRange> ports) {
  std::vector<size_t> jumps;
  for (size_t i = 0; i < ports.size(); ++i) {
    const size_t low = program.Test(INET_DIAG_BC_S_GE, ports[i].first);
    const size_t high = program.Test(INET_DIAG_BC_S_LE, ports[i].last);
    if (i + 1 == ports.size()) {
      for (const size_t jump : jumps) program.Aim(jump, program.here());
      return {low, high};
    }
    jumps.push_back(program.Jump());
    program.Aim(low, program.here());
    program.Aim(high, program.here());
  }
  return {};
}

}  // namespace

std::vector<std::byte> PortFilter(absl::Span<const PortRange> ports) {
  Check(ports.size() <= kPortRangesMax, "the filter's jumps can span all ranges of ports");
  Program program;
  const std::vector<size_t> refusing = AddRanges(program, ports);
  program.AimAllBeyondEnd(refusing);
  return program.Bytes();
}

}  // namespace hongbao::conns
