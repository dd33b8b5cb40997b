#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
