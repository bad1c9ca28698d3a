# Wasm only: the standard headers, parsed once instead of in every file (four fifths of the time of a small one). CMake's own
# precompiled headers stand in each build folder, so that ccache could not share objects between the families; these stand in
# .toolchain/pch, one for each set of flags, made while CMake configures. The .sum file is what ccache knows them by, in any clone.
set(precompiled_header ${PROJECT_SOURCE_DIR}/cmake/precompiled.h)

# bitwright_precompiled(<variable> <option>...): the options that bring it in, for sources with these options (-Oz, -Os ...) of their
# own.
function(bitwright_precompiled variable)
  get_target_property(options bitwright_flags INTERFACE_COMPILE_OPTIONS)
  get_target_property(definitions bitwright_flags INTERFACE_COMPILE_DEFINITIONS)
  list(TRANSFORM definitions PREPEND -D)
  separate_arguments(release UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_RELEASE}")
  set(flags ${definitions} ${release} ${options} -std=c++${CMAKE_CXX_STANDARD} ${ARGN})
  file(SHA256 ${precompiled_header} content)
  string(SHA256 key "${flags} ${content} ${CMAKE_CXX_COMPILER_VERSION}")
  string(SUBSTRING ${key} 0 16 key)
  set(made ${PROJECT_SOURCE_DIR}/.toolchain/pch/${key}.pch)
  if(NOT EXISTS ${made}.sum)
    file(MAKE_DIRECTORY ${PROJECT_SOURCE_DIR}/.toolchain/pch)
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${flags} -Xclang -fno-pch-timestamp -x c++-header ${precompiled_header} -o ${made}
      COMMAND_ERROR_IS_FATAL ANY)
    file(WRITE ${made}.sum ${key})
  endif()
  set(${variable} -include-pch ${made} PARENT_SCOPE)
endfunction()
