/**
 * @file dlopen_library.cpp
 * @brief libhakmem.so is opened by a process that runs on the C library's malloc.
 *
 * A library that is opened late finds its static TLS only in the surplus that the loader keeps,
 * which other libraries want as well: at most 64 bytes are fair. The C library's malloc and
 * HAKMEM's then live side by side, and each must leave the other's blocks alone. The argument is
 * the path.
 */
#include <array>

#include <dlfcn.h>
#include <link.h>

#include "check.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t static_tls_max_bytes = 64;

void* (*their_malloc)(std::size_t);
void* (*their_realloc)(void*, std::size_t);
void (*their_free)(void*);
std::size_t (*their_usable_size)(void*);
int (*their_validate)();

template <class Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    CHECK(function != nullptr);
    CHECK(subject_object_of(reinterpret_cast<void*>(function)) != nullptr);
}

int measure_tls(dl_phdr_info* info, std::size_t, void* result) {
    if (std::strstr(info->dlpi_name, "libhakmem") == nullptr) {
        return 0;
    }
    auto* const bytes = static_cast<std::size_t*>(result);
    *bytes = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            *bytes = info->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

void* use(void* seed) {
    Random random(reinterpret_cast<std::uintptr_t>(seed));
    std::array<Block, 200> theirs;
    std::array<Block, 200> libcs;
    for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < theirs.size(); ++i) {
            theirs[i].verify();
            libcs[i].verify();
            their_free(theirs[i].start);
            subject_free(libcs[i].start);
            const std::size_t size = random.size(40 * kib);
            theirs[i].adopt(their_malloc(size), size, random.next());
            libcs[i].adopt(subject_malloc(size), size, random.next());
            CHECK_LE(size, their_usable_size(theirs[i].start));
        }
    }
    for (std::size_t i = 0; i < theirs.size(); ++i) {
        their_free(theirs[i].start);
        subject_free(libcs[i].start);
    }
    return nullptr;
}

void* waits_for_the_end(void*) {
    their_free(their_malloc(100));
    usleep(100000);
    return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
    CHECK_EQ(argc, 2);
    deadline(60);
    CHECK(!subject_is_hakmem());
    // A thread that exists already has its static TLS: the library's part of it is initialised
    // by the loader while the thread runs.
    void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        check::Line().add(dlerror()).put(2);
    }
    CHECK(library != nullptr);
    find(library, "malloc", their_malloc);
    find(library, "realloc", their_realloc);
    find(library, "free", their_free);
    find(library, "malloc_usable_size", their_usable_size);
    find(library, "hakmem_validate", their_validate);
    CHECK(reinterpret_cast<void*>(their_malloc) != reinterpret_cast<void*>(&malloc));
    // RTLD_LOCAL: the process keeps the malloc that it had.
    CHECK(dlsym(RTLD_DEFAULT, "malloc") != reinterpret_cast<void*>(their_malloc));

    std::size_t tls_bytes = static_tls_max_bytes + 1;
    CHECK_EQ(dl_iterate_phdr(measure_tls, &tls_bytes), 1);
    check::Line().add("static TLS: ").value(tls_bytes).add(" bytes").put(1);
    CHECK_LE(tls_bytes, static_tls_max_bytes);

    std::array<pthread_t, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
        threads[i] = thread_start(use, reinterpret_cast<void*>(i));
    }
    use(reinterpret_cast<void*>(std::uintptr_t{77}));
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    CHECK_EQ(their_validate(), 0);

    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        use(nullptr);
        ::_exit(3);
    }
    expect_exit(child, 3);

    // Closing it must not pull the code away from under a thread that will still end in it.
    const pthread_t thread = thread_start(waits_for_the_end);
    usleep(20000);
    CHECK_EQ(dlclose(library), 0);
    thread_join(thread);
    return 0;
}
