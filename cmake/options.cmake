# Compile options for all of our own code. Warnings are errors; each one that is off has its reason.
option(CLOUDOS_SANITIZE "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(CLOUDOS_FUZZ "libFuzzer targets, with clang" OFF)

add_library(cloudos_options INTERFACE)
target_compile_options(cloudos_options INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Wcast-align -Woverloaded-virtual -Wimplicit-fallthrough
  # Designated initialisers rely on the defaults of the fields that they leave out.
  -Wno-missing-field-initializers)
target_compile_definitions(cloudos_options INTERFACE CLOUDOS_VERSION="${PROJECT_VERSION}" _FILE_OFFSET_BITS=64)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(cloudos_options INTERFACE -ffunction-sections -fdata-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2)
  target_link_options(cloudos_options INTERFACE -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now)
  # Debug information is for the dev preset; the shipped programs are small.
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
endif()
if(CLOUDOS_SANITIZE)
  target_compile_options(cloudos_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1)
  target_link_options(cloudos_options INTERFACE -fsanitize=address,undefined)
  set(CMAKE_CXX_FLAGS_DEBUG "-g1")
endif()
if(CLOUDOS_FUZZ)
  target_compile_options(cloudos_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1)
  target_link_options(cloudos_options INTERFACE -fsanitize=address,undefined)
  set(CMAKE_CXX_FLAGS_DEBUG "-g1")
endif()
