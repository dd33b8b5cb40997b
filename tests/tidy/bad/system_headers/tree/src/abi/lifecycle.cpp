#include <pthread.h>
#include <csignal>
#include <sys/mman.h>
