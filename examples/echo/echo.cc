// Echo: a whole service on libhongbao's net/. Sends back what it is sent.
//
//   build/examples/echo 127.0.0.1:7000 &   then   nc 127.0.0.1 7000
#include "libhongbao/net/run.h"

using namespace hongbao;

struct Echo {  // one per worker
  size_t OnBytes(net::Port&, net::Connection&, absl::Span<const std::byte> in, net::Replies& out) {
    out.Append(in);
    return in.size();
  }
};

int main(int argc, char** argv) {
  return net::Run<Echo>({.listen = argc > 1 ? argv[1] : "127.0.0.1:7000", .connections_max = 10'000});
}
