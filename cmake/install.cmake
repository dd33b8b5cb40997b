# What `cmake --install` puts where, and what CPack packs. A sanitizer build has only the boxes: it
# installs nothing.
if(HAKMEM_SANITIZE)
  return()
endif()

# ---- man pages: made from options.inc and hakmem.h, so that they cannot differ from them ---------
set(hakmem_man_dir ${PROJECT_BINARY_DIR}/man)
set(hakmem_man_pages ${hakmem_man_dir}/hakmem.3 ${hakmem_man_dir}/hakmem.7)
add_custom_command(
  OUTPUT ${hakmem_man_pages}
  COMMAND /usr/bin/python3 ${PROJECT_SOURCE_DIR}/tools/make_man.py
          --version ${PROJECT_VERSION} --output ${hakmem_man_dir}
  DEPENDS ${PROJECT_SOURCE_DIR}/tools/make_man.py ${PROJECT_SOURCE_DIR}/docs/options_table.py
          ${PROJECT_SOURCE_DIR}/src/base/options.inc ${PROJECT_SOURCE_DIR}/src/abi/hakmem.h
  COMMENT "Writing the man pages"
  VERBATIM)
add_custom_target(hakmem_man ALL DEPENDS ${hakmem_man_pages})

# Everything that is installed, and no test: `make` builds this.
set(hakmem_phase_libraries hakmem_phase_13b hakmem_phase_14 hakmem_phase_14c hakmem_phase_15)
add_custom_target(libraries DEPENDS
  hakmem hakmem_static hakmem_object hakmem_man ${hakmem_phase_libraries})

# ---- targets as consumers see them ------------------------------------------------------------
# hakmem::hakmem is the shared library with a request to the linker to keep it: under --as-needed it
# would drop a library of which the program itself names no symbol, and the program's malloc would
# silently be another.
add_library(hakmem_kept INTERFACE)
target_link_libraries(hakmem_kept INTERFACE
  -Wl,--push-state,--no-as-needed hakmem -Wl,--pop-state)
set_target_properties(hakmem_kept PROPERTIES EXPORT_NAME hakmem)
set_target_properties(hakmem PROPERTIES EXPORT_NAME shared)
set_target_properties(hakmem_static PROPERTIES EXPORT_NAME static)
foreach(target hakmem hakmem_static)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src/abi>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
# A linker takes a member out of an archive only for a symbol that is still missing, and the C
# library has a malloc too: these ask for malloc, for operator new, and for what start, fork and
# exit need.
target_link_options(hakmem_static INTERFACE
  -Wl,--undefined=malloc -Wl,--undefined=_Znwm -Wl,--undefined=hakmem_version)
target_link_libraries(hakmem_static INTERFACE pthread dl)

# ---- files ------------------------------------------------------------------------------------
set(hakmem_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hakmem)
install(TARGETS hakmem_kept hakmem hakmem_static EXPORT hakmem_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
# The recorded phases are to be preloaded, for comparison; nobody links them.
install(TARGETS ${hakmem_phase_libraries} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/hakmem)
install(FILES ${PROJECT_BINARY_DIR}/lib/hakmem.o DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/src/abi/hakmem.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${hakmem_man_dir}/hakmem.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(FILES ${hakmem_man_dir}/hakmem.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(EXPORT hakmem_targets NAMESPACE hakmem:: FILE hakmem-targets.cmake
        DESTINATION ${hakmem_cmake_dir})

include(CMakePackageConfigHelpers)
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/hakmem-config.cmake.in ${PROJECT_BINARY_DIR}/cmake/hakmem-config.cmake
  INSTALL_DESTINATION ${hakmem_cmake_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/hakmem-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/hakmem-config.cmake
              ${PROJECT_BINARY_DIR}/cmake/hakmem-config-version.cmake
        DESTINATION ${hakmem_cmake_dir})

# pkg-config finds the prefix from the file's own place, so that --prefix at install time holds.
file(RELATIVE_PATH hakmem_pc_to_prefix
     /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" hakmem_pc_to_prefix "${hakmem_pc_to_prefix}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/hakmem.pc.in ${PROJECT_BINARY_DIR}/cmake/hakmem.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/hakmem.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# ---- the Debian package -----------------------------------------------------------------------
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hakmem)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "HAKMEM <hakmem@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
# The symbols it uses are old; 2.34 is where pthread and dl became part of the C library.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6 (>= 2.34)")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"It replaces malloc, free and operator new of a program that is linked with it or started with
LD_PRELOAD=libhakmem.so, and says on request where the memory is.")
# Says which package brings the library, and lets the dynamic linker learn of it.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
include(CPack)
