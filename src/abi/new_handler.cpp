#include "abi/new_handler.hpp"

#include <cstdlib>
#include <new>

#include "os/raw_log.hpp"
#include "os/real_libc.hpp"

namespace std {
[[gnu::weak]] new_handler get_new_handler() noexcept;
[[gnu::noreturn, gnu::weak]] void __throw_bad_alloc();
}  // namespace std

// What the compiler calls to catch an exception is weak for the same reason.
asm(".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n"
    ".weak _ZSt9terminatev\n");

namespace hakmem::abi {

namespace {

// [library]
struct CxxLibrary {
    std::new_handler (*get_new_handler)() noexcept;
    void (*throw_bad_alloc)();
};

// Weak references are bound when HAKMEM is loaded.
bool was_there_from_the_start() { return std::__throw_bad_alloc != nullptr; }

template <typename Function>
void find(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(os::function_of("libstdc++.so.6", name));
}

// Whoever calls operator new in a program that has opened the library keeps it open.
CxxLibrary cxx_library() {
    if (was_there_from_the_start()) return {std::get_new_handler, std::__throw_bad_alloc};
    CxxLibrary opened{};
    find("_ZSt15get_new_handlerv", opened.get_new_handler);
    find("_ZSt17__throw_bad_allocv", opened.throw_bad_alloc);
    return opened;
}
// [/library]

// Nothing is thrown here, or the message's end would need an unwinder to link with.
[[noreturn]] void give_up() noexcept {
    os::Message() << "operator new is out of memory, without a C++ library that throws";
    std::abort();
}

}  // namespace

// [new]
// The handler may throw; nothing here needs unwinding.
void* new_slow(std::size_t bytes, std::size_t alignment) {
    const CxxLibrary library = cxx_library();
    for (;;) {
        const std::new_handler handler =
            library.get_new_handler != nullptr ? library.get_new_handler() : nullptr;
        if (handler == nullptr) {
            if (library.throw_bad_alloc == nullptr) give_up();
            library.throw_bad_alloc();
        }
        handler();
        if (void* const block = new_attempt(bytes, alignment)) return block;
    }
}
// [/new]

void* new_nothrow_slow(std::size_t bytes, std::size_t alignment) noexcept {
    // What catches belongs to the C++ library, too, and is reached by references alone.
    if (!was_there_from_the_start()) return nullptr;
    try {
        return new_slow(bytes, alignment);
    } catch (...) {
        return nullptr;
    }
}

}  // namespace hakmem::abi
