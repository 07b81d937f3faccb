# The libraries, all from the build root's distribution.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Catch2 3 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(tomlplusplus REQUIRED)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(SSH2 REQUIRED IMPORTED_TARGET libssh2)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent_openssl)

# Linked statically where the distribution ships an archive: libarchive.so would bring libxml2 and ICU (40 MB) for formats
# that are never read, and a program with few libraries is small to carry and quick to start.
function(cloudos_static target)
  set(archives "")
  foreach(name ${ARGN})
    if(TARGET ${name})
      list(APPEND archives ${name})
    else()
      find_library(CLOUDOS_${name}_a NAMES ${name}.a REQUIRED)
      list(APPEND archives ${CLOUDOS_${name}_a})
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${archives}")
endfunction()
# A library of its own in CMake's eyes, as libssl below, so that it comes before what it needs wherever else that is linked too.
function(cloudos_archive target name)
  find_library(CLOUDOS_${name}_a NAMES ${name}.a REQUIRED)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${CLOUDOS_${name}_a} INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()
cloudos_archive(cloudos_zstd_static libzstd)
cloudos_archive(cloudos_z_static libz)
cloudos_archive(cloudos_crypto_static libcrypto cloudos_zstd_static cloudos_z_static)
# Programs that set CLOUDOS_STATIC_CRYPTO have libcrypto and libzstd within too. The installer does not: curl and libssh2
# bring the shared libcrypto anyway, and the distribution's archive of libzstd cannot compress with threads.
add_library(cloudos_zstd_library INTERFACE)
target_link_libraries(cloudos_zstd_library INTERFACE
  $<IF:$<BOOL:$<TARGET_PROPERTY:CLOUDOS_STATIC_CRYPTO>>,cloudos_zstd_static,PkgConfig::ZSTD>)
add_library(cloudos_crypto_library INTERFACE)
target_link_libraries(cloudos_crypto_library INTERFACE
  $<IF:$<BOOL:$<TARGET_PROPERTY:CLOUDOS_STATIC_CRYPTO>>,cloudos_crypto_static,OpenSSL::Crypto>)
# TLS goes with its libcrypto: both within the program, or both shared.
cloudos_archive(cloudos_ssl_static libssl cloudos_crypto_static)
add_library(cloudos_ssl_library INTERFACE)
target_link_libraries(cloudos_ssl_library INTERFACE
  $<IF:$<BOOL:$<TARGET_PROPERTY:CLOUDOS_STATIC_CRYPTO>>,cloudos_ssl_static,OpenSSL::SSL>)
cloudos_static(PkgConfig::ARCHIVE libarchive liblzma libbz2 liblz4 libnettle libacl cloudos_zstd_library libz)
# Its tar writer shares an object with the table of all formats; what that refers to (libxml2, for xar) is dropped unread.
target_link_options(PkgConfig::ARCHIVE INTERFACE -Wl,--gc-sections)
cloudos_static(PkgConfig::SYSTEMD libsystemd libcap)
cloudos_static(PkgConfig::NGHTTP2 libnghttp2)
# evhttp is in libevent_extra, bufferevents over TLS in libevent_openssl.
cloudos_static(PkgConfig::EVENT libevent_openssl libevent_extra libevent_core cloudos_ssl_library cloudos_crypto_library)
