# The header-only libraries, each through a link of its own: -I/usr/include would put the system's C headers in front of
# Emscripten's. Set-up unpacks them into .toolchain/headers where it may not install them.
set(header_roots
  ${PROJECT_SOURCE_DIR}/.toolchain/headers/usr/include /usr/include /usr/local/include /opt/homebrew/include)
set(header_links ${PROJECT_BINARY_DIR}/headers)
if(EMSCRIPTEN)
  set(header_links ${PROJECT_SOURCE_DIR}/.toolchain/include)  # one path for all wasm builds lets ccache share their objects
endif()
file(MAKE_DIRECTORY ${header_links})

function(bitwright_link_header folder probe package)
  foreach(root IN LISTS header_roots)
    foreach(found IN ITEMS ${root}/${folder} ${root}/eigen3/${folder})
      if(EXISTS ${found}/${probe})
        file(CREATE_LINK ${found} ${header_links}/${folder} SYMBOLIC)
        return()
      endif()
    endforeach()
  endforeach()
  message(FATAL_ERROR "The headers '${folder}/${probe}' are missing: run 'npm run setup', or install the package ${package}.")
endfunction()
bitwright_link_header(protozero version.hpp libprotozero-dev)
bitwright_link_header(Eigen Core libeigen3-dev)
bitwright_link_header(doctest doctest.h doctest-dev)

add_library(bitwright_headers INTERFACE)
target_include_directories(bitwright_headers SYSTEM INTERFACE ${header_links})
