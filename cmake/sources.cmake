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

# Wasm only: how each source is compiled. The first folders and files of src hold no loop that a real model spends its time in, and
# are compiled for size alone (-Oz). The loops of the second are written out in vectors: unrolling them or making more instances
# gains nothing (-Os).
set(BITWRIGHT_COLD_SOURCES api base/checked base/error base/math_f64 base/parallel_for
  base/sorted_order base/text calibrate engine files io kernels/.*/reference
  kernels/conv_u8_i8/pack kernels/probe model ops passes quant/clipped_share quant/encodings/encodings quant/encodings/fitted
  quant/encodings/magnitudes quant/encodings/product quant/encodings/stored_scales quant/fixed_point quant/glob quant/layout
  quant/observers/aciq quant/observers/bins quant/observers/entropy quant/quant_params quant/quantize_rounded quant/weight report samples tensor)
set(BITWRIGHT_SMALL_SOURCES base/math kernels/binary_u8 kernels/border_u8 kernels/conv_f32 kernels/depthwise_f32 kernels/depthwise_u8_i8
  kernels/elementwise_f32 kernels/gemm_i8_nbits kernels/gemm_ternary kernels/lookup_u8 kernels/normalize_f32 kernels/normalize_u8 kernels/pool_f32
  kernels/pool_u8 kernels/reduce_f32 kernels/resample_f32 kernels/softmax_f32 quant)
# Only kernels see BITWRIGHT_RELAXED: the other objects are the same in both families, and ccache compiles them once.
function(bitwright_compile_sources)
  if(NOT EMSCRIPTEN)
    return()
  endif()
  list(JOIN BITWRIGHT_COLD_SOURCES "|" cold)
  list(JOIN BITWRIGHT_SMALL_SOURCES "|" small)
  foreach(source IN LISTS ARGN)
    set(options)
    if(source MATCHES "/(src/(${cold})|bindings)[/.]")
      set(options -Oz)
    elseif(source MATCHES "/src/(${small})[/.]")
      set(options -Os)
    endif()
    if(BITWRIGHT_RELAXED AND source MATCHES "/src/kernels/")
      list(APPEND options -mrelaxed-simd -DBITWRIGHT_RELAXED=1)
    endif()
    bitwright_precompiled(headers ${options})
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${options} ${headers})
  endforeach()
endfunction()

# One program per file, named as the file.
function(bitwright_small_program source)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE bitwright_core)
endfunction()
