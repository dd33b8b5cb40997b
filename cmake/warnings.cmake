# One set of warnings and sanitizer flags for everything that is compiled here.
add_library(hakmem_warnings INTERFACE)
target_compile_options(hakmem_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wundef -Wcast-qual -Werror
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>)
if(HAKMEM_SANITIZE)
  target_compile_options(hakmem_warnings INTERFACE
    -fsanitize=${HAKMEM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(hakmem_warnings INTERFACE -fsanitize=${HAKMEM_SANITIZE})
endif()
