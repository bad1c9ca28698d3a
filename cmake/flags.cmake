# One set of flags for every target. No -march: native must compute the same bits as wasm, which has no fused multiply-add.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the project count as relative, so that clones share what they compiled; precompiled headers by their .sum file.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_PCH_EXTSUM=1 CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(bitwright_flags INTERFACE)
target_compile_options(bitwright_flags INTERFACE -ffp-contract=off -Wall -Wextra -Werror)

if(EMSCRIPTEN)
  set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
  # Names of types would be a tenth of a module; exceptions do without (-fno-rtti), and Embind tells which type it does not know by number.
  target_compile_options(bitwright_flags INTERFACE -msimd128 -fwasm-exceptions -fno-rtti)
  target_compile_definitions(bitwright_flags INTERFACE EMSCRIPTEN_HAS_UNBOUND_TYPE_NAMES=0)
  target_link_options(bitwright_flags INTERFACE -fwasm-exceptions -fno-rtti)
  if(NOT BITWRIGHT_DEV)
    target_compile_options(bitwright_flags INTERFACE -flto)  # a module smaller by 5 %
    target_link_options(bitwright_flags INTERFACE -flto)  # with the system's libraries, by 2 kB after compression
  endif()
  if(BITWRIGHT_THREADS)
    target_compile_options(bitwright_flags INTERFACE -pthread)
    target_link_options(bitwright_flags INTERFACE -pthread)
    target_compile_definitions(bitwright_flags INTERFACE BITWRIGHT_THREADS=1)
  endif()
else()
  set(CMAKE_CXX_FLAGS_RELEASE "-O2")  # assertions stay on: speed is measured on wasm
  find_package(Threads REQUIRED)
  target_link_libraries(bitwright_flags INTERFACE Threads::Threads)
  target_compile_definitions(bitwright_flags INTERFACE BITWRIGHT_THREADS=1)
endif()

if(BITWRIGHT_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
  target_compile_options(bitwright_flags INTERFACE
    -fsanitize=${BITWRIGHT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)  # g++ warns falsely on instrumented code
  target_link_options(bitwright_flags INTERFACE -fsanitize=${BITWRIGHT_SANITIZE})
endif()
if(BITWRIGHT_COVERAGE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1")
  target_compile_options(bitwright_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(bitwright_flags INTERFACE -fprofile-instr-generate)
endif()
if(BITWRIGHT_FUZZ)
  target_compile_options(bitwright_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
