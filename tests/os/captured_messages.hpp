// Takes HAKMEM's messages instead of stderr for as long as it lives.
#pragma once

#include <mutex>
#include <string>

#include "os/raw_log.hpp"

namespace hakmem::tests {

class CapturedMessages {
public:
    CapturedMessages() { os::set_message_sink(take, this); }
    ~CapturedMessages() { os::set_message_sink(nullptr, nullptr); }
    CapturedMessages(const CapturedMessages&) = delete;
    CapturedMessages& operator=(const CapturedMessages&) = delete;

    std::string text() const {
        const std::lock_guard guard(mutex_);
        return text_;
    }
    /** @return What has come since the last call. */
    std::string next() {
        const std::lock_guard guard(mutex_);
        std::string out;
        out.swap(text_);
        return out;
    }

private:
    static void take(const char* text, std::size_t length, void* self) {
        auto& messages = *static_cast<CapturedMessages*>(self);
        const std::lock_guard guard(messages.mutex_);
        messages.text_.append(text, length);
    }
    mutable std::mutex mutex_;
    std::string text_;
};

}  // namespace hakmem::tests
