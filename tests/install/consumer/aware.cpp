// A C++ program that knows hakmem.h: operator new and the containers draw on HAKMEM's heap.
#include <hakmem.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

int failures = 0;

void expect(bool condition, const char* what) {
    if (!condition) {
        std::fprintf(stderr, "not so: %s\n", what);
        failures++;
    }
}

bool is_ours(const void* block, std::size_t bytes) {
    return hakmem_usable_size(block) >= bytes &&
           hakmem_usable_size(block) == malloc_usable_size(const_cast<void*>(block));
}

struct alignas(256) Wide {
    char bytes[512];
};

// Built before main, from whatever serves new at that time.
const std::vector<int> before_main(1000, 7);

}  // namespace

int main() {
    expect(hakmem_version() == HAKMEM_VERSION, "library and header have one version");
    expect(is_ours(before_main.data(), 4000), "a static object's block is HAKMEM's");

    const auto one = std::make_unique<char[]>(100);
    expect(is_ours(one.get(), 100), "new[] is HAKMEM's");
    const auto wide = std::make_unique<Wide>();
    expect(is_ours(wide.get(), sizeof(Wide)), "aligned new is HAKMEM's");
    const std::string text(10'000, 'x');
    expect(is_ours(text.data(), text.size()), "a string's block is HAKMEM's");

    std::vector<int> filled;
    std::thread([&filled] { filled.assign(100'000, 1); }).join();
    expect(is_ours(filled.data(), filled.size() * sizeof(int)), "a thread's block is HAKMEM's");

    bool thrown = false;
    try {
        volatile std::size_t absurd = PTRDIFF_MAX;
        ::operator delete(::operator new(absurd));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    expect(thrown, "new throws a real std::bad_alloc");
    expect(hakmem_validate() == 0, "the heap is in order");
    std::puts(failures ? "failed" : "served by HAKMEM");
    return failures != 0;
}
