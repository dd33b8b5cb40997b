#include <sys/mman.h>
#include <unistd.h>
