#include "abi/new_handler.hpp"

#include <cstdlib>
#include <new>

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

// [new]
// The handler may throw; nothing here needs unwinding.
void* new_slow(std::size_t bytes, std::size_t alignment) {
    for (;;) {
        const std::new_handler handler =
            std::get_new_handler != nullptr ? std::get_new_handler() : nullptr;
        if (handler == nullptr) {
            if (std::__throw_bad_alloc == nullptr) std::abort();
            std::__throw_bad_alloc();
        }
        handler();
        if (void* const block = new_attempt(bytes, alignment)) return block;
    }
}
// [/new]

void* new_nothrow_slow(std::size_t bytes, std::size_t alignment) noexcept {
    try {
        return new_slow(bytes, alignment);
    } catch (...) {
        return nullptr;
    }
}

}  // namespace hakmem::abi
