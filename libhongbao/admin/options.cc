#include "libhongbao/admin/options.h"
