# bitwright_sources(<variable> <root> <pattern> <folders>): the files below root, or below the named folders of it.
function(bitwright_sources variable root pattern folders)
  set(roots ${PROJECT_SOURCE_DIR}/${root})
  if(folders)
    list(TRANSFORM folders PREPEND ${PROJECT_SOURCE_DIR}/${root}/ OUTPUT_VARIABLE roots)
  endif()
  list(TRANSFORM roots APPEND /${pattern})
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${roots})
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# Wasm only: these folders and files of src hold no loop that a real model spends its time in, and are compiled for size.
set(BITWRIGHT_COLD_SOURCES api engine files io model passes ops report/comparison report/model_info
  quant/encodings/encodings quant/encodings/fitted quant/encodings/product quant/observers/aciq quant/observers/bins report/scheme_report
  CACHE STRING "what is compiled for size in wasm")
set(BITWRIGHT_COLD_FLAG -Oz CACHE STRING "how it is compiled; empty: as the rest")
function(bitwright_shrink_cold_sources)
  if(NOT EMSCRIPTEN OR NOT BITWRIGHT_COLD_FLAG)
    return()
  endif()
  list(JOIN BITWRIGHT_COLD_SOURCES "|" cold)
  foreach(source IN LISTS ARGN)
    if(source MATCHES "/(src/(${cold})|bindings)[/.]")
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${BITWRIGHT_COLD_FLAG})
    endif()
  endforeach()
endfunction()

# Only kernels see BITWRIGHT_RELAXED: the other objects are the same in both families, and ccache compiles them once.
function(bitwright_relax_kernels)
  if(NOT BITWRIGHT_RELAXED)
    return()
  endif()
  set(kernels ${ARGN})
  list(FILTER kernels INCLUDE REGEX "/src/kernels/")
  set_property(SOURCE ${kernels} APPEND PROPERTY COMPILE_OPTIONS -mrelaxed-simd)
  set_property(SOURCE ${kernels} APPEND PROPERTY COMPILE_DEFINITIONS BITWRIGHT_RELAXED=1)
endfunction()

# One program per file, named as the file.
function(bitwright_small_program source)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE bitwright_core)
endfunction()
