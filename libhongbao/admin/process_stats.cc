#include "libhongbao/admin/process_stats.h"
