#include "libhongbao/admin/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

namespace hongbao::admin {

void HoldStandardStreams() {
  // The lowest free number is given out first; what is opened above 2 was one too many.
  int opened = 0;
  while (opened >= 0 && opened <= 2) {
    opened = open("/dev/null", O_RDWR);
  }
  if (opened > 2) {
    close(opened);
  }
}

}  // namespace hongbao::admin
