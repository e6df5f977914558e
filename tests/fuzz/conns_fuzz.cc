// Any bytes as an answer of the kernel's socket diagnosis: a verdict each time, nothing read beyond them, no more
// sockets than there is room for.
#include <linux/inet_diag.h>
#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "libhongbao/check.h"
#include "tools/conns_program/diag.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hongbao::Check;
  using hongbao::conns::Connection;
  using hongbao::conns::Parsed;
  // Of exactly its size, so that AddressSanitizer sees a read past the bytes. Half of the inputs begin like a real
  // answer.
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  if (size >= sizeof(nlmsghdr) && size % 2 == 0) {
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), sizeof(header));
    header.nlmsg_len = static_cast<uint32_t>(header.nlmsg_len % (size + 20));
    header.nlmsg_type = header.nlmsg_type % 4 == 0 ? 20 : static_cast<uint16_t>(header.nlmsg_type % 4);
    header.nlmsg_seq = 1;
    std::memcpy(bytes.data(), &header, sizeof(header));
  }
  size_t found = 0;
  const Parsed parsed = hongbao::conns::ParseDatagram(bytes, 1, [&found](const Connection&) { ++found; });
  Check(found * (sizeof(nlmsghdr) + sizeof(inet_diag_msg)) <= size, "each socket has its bytes");
  Check((parsed.verdict == Parsed::Verdict::kError) == (parsed.error != 0), "an error has its number, nothing else has");
  Check(parsed.error >= 0 && parsed.error <= 4'095, "an errno of the kernel's");
  return 0;
}
