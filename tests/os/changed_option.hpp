// Gives an option another value for as long as it lives. Other threads must not be looking.
#pragma once

#include "os/environment.hpp"

namespace hakmem::tests {

class ChangedOption {
public:
    ChangedOption(std::uint64_t os::Options::*field, std::uint64_t value)
        : place_(const_cast<os::Options&>(os::options()).*field), saved_(place_) {
        place_ = value;
    }
    ~ChangedOption() { place_ = saved_; }
    ChangedOption(const ChangedOption&) = delete;
    ChangedOption& operator=(const ChangedOption&) = delete;

private:
    std::uint64_t& place_;
    std::uint64_t saved_;
};

}  // namespace hakmem::tests
