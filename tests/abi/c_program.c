/**
 * @file c_program.c
 * @brief A C program must not find libstdc++ in its memory because of its malloc.
 *
 * The allocator is written in C++; what it needs of the C++ library (the new handler, bad_alloc) it
 * refers to weakly. It is enough that one symbol is referred to strongly, and every C program loads
 * two more libraries. This program is linked by the C compiler, without the C++ library. At the end
 * it opens a plugin that brings it: by then the weak references are bound, and null.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char* text) {
    if (write(2, text, strlen(text)) < 0) {
        _exit(2);
    }
}

#define CHECK(condition)                                  \
    do {                                                  \
        if (!(condition)) {                               \
            say("c_program.c: failed: " #condition "\n"); \
            _exit(1);                                     \
        }                                                 \
    } while (0)

int main(int argc, char** argv) {
    void* (*volatile make)(size_t) = malloc;
    void (*volatile give_back)(void*) = free;
    static char maps[256 * 1024];
    size_t length = 0;
    ssize_t count;
    int file;

    /* The allocator must be the one that is meant, as subject.hpp has it for C++. */
    const char* const wanted = getenv("ABI_SUBJECT");
    if (wanted != NULL && strcmp(wanted, "hakmem") == 0) {
        Dl_info serving;
        Dl_info own;
        void* const address = dlsym(RTLD_DEFAULT, "malloc");
        CHECK(address != NULL && dladdr(address, &serving) != 0);
        CHECK(dladdr(maps, &own) != 0);
        CHECK(serving.dli_fbase == own.dli_fbase || strstr(serving.dli_fname, "hakmem") != NULL);
    }

    for (size_t size = 1; size < (size_t)64 << 20; size = size * 3 + 1) {
        unsigned char* const block = make(size);
        CHECK(block != NULL);
        CHECK((uintptr_t)block % (size < 16 ? 8 : 16) == 0);
        memset(block, 1, size);
        CHECK(malloc_usable_size(block) >= size);
        give_back(block);
    }
    errno = 0;
    CHECK(make((size_t)PTRDIFF_MAX) == NULL && errno == ENOMEM);

    file = open("/proc/self/maps", O_RDONLY);
    CHECK(file >= 0);
    while ((count = read(file, maps + length, sizeof maps - 1 - length)) > 0) {
        length += (size_t)count;
    }
    close(file);
    CHECK(length > 0);
    CHECK(strstr(maps, "libc.so") != NULL);
    CHECK(strstr(maps, "libstdc++") == NULL);
    CHECK(strstr(maps, "libgcc_s") == NULL);
    CHECK(strstr(maps, "libm.so") == NULL);

    CHECK(argc == 2);
    void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(plugin != NULL);
    const char* (*complaint)(void) = NULL;
    *(void**)&complaint = dlsym(plugin, "cxx_plugin_complaint");
    CHECK(complaint != NULL);
    const char* const text = complaint();
    if (text != NULL) {
        say(text);
        return 1;
    }
    return 0;
}
