/* A malloc that forgets to zero: what tools/programs.py and tools/demo.py must notice. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static const size_t room = (size_t)1 << 32;
static char* next;

static void* take(size_t alignment, size_t size) {
    if (next == NULL) {
        next = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    }
    const uintptr_t start = ((uintptr_t)next + 8 + alignment - 1) & ~(uintptr_t)(alignment - 1);
    next = (char*)start + size;
    memcpy((char*)start - 8, &size, sizeof size);
    return (char*)start;
}

void* malloc(size_t size) { return take(16, size); }
void free(void* block) { (void)block; }
void* calloc(size_t count, size_t size) { return memset(malloc(count * size), 0xa5, count * size); }

void* realloc(void* block, size_t size) {
    size_t old_size = 0;
    if (block == NULL) {
        return malloc(size);
    }
    memcpy(&old_size, (char*)block - 8, sizeof old_size);
    return memcpy(malloc(size), block, old_size < size ? old_size : size);
}
