#include "os/real_libc.hpp"

#include <dlfcn.h>

#include <atomic>

// Weak: a static program without them links all the same.
extern "C" {
[[gnu::weak]] void* dlopen(const char* name, int mode) noexcept;
[[gnu::weak]] int dlclose(void* handle) noexcept;
[[gnu::weak]] void* dlsym(void* handle, const char* name) noexcept;
}

namespace hakmem::os {

namespace {

// [next]
// One function of the C library, looked up when first needed.
template <typename Function>
class Next {
public:
    constexpr explicit Next(const char* name) : name_(name) {}

    Function* get() {
        void* address = address_.load(std::memory_order_relaxed);
        if (address == nullptr && dlsym != nullptr) {
            address = dlsym(RTLD_NEXT, name_);
            // A library opened by dlopen has nothing after it; the program's own malloc is then
            // the first in the global scope, and it is not ours.
            if (address == nullptr) address = dlsym(RTLD_DEFAULT, name_);
            address_.store(address, std::memory_order_relaxed);
        }
        return reinterpret_cast<Function*>(address);
    }

private:
    const char* name_;
    std::atomic<void*> address_{nullptr};
};
// [/next]

constinit Next<void(void*)> next_free{"free"};
constinit Next<void*(void*, std::size_t)> next_realloc{"realloc"};
constinit Next<std::size_t(void*)> next_usable_size{"malloc_usable_size"};

}  // namespace

bool libc_free(void* block) {
    const auto function = next_free.get();
    if (function != nullptr) function(block);
    return function != nullptr;
}

bool libc_realloc(void* block, std::size_t bytes, void*& result) {
    const auto function = next_realloc.get();
    if (function != nullptr) result = function(block, bytes);
    return function != nullptr;
}

bool libc_usable_size(const void* block, std::size_t& bytes) {
    const auto function = next_usable_size.get();
    if (function != nullptr) bytes = function(const_cast<void*>(block));
    return function != nullptr;
}

// [opened]
void* function_of(const char* library, const char* name) {
    if (dlopen == nullptr || dlclose == nullptr || dlsym == nullptr) return nullptr;
    void* const handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) return nullptr;
    void* const address = dlsym(handle, name);
    dlclose(handle);
    return address;
}
// [/opened]

}  // namespace hakmem::os
