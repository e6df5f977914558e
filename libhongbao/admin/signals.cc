#include "libhongbao/admin/signals.h"
