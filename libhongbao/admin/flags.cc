#include "libhongbao/admin/flags.h"
