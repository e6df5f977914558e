#include "libhongbao/admin/log.h"
