// For tests that take locks in ways that clang's analysis is there to forbid: out of order, twice,
// in one function only. Included for what it switches off in the file that includes it.
#pragma once

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif
