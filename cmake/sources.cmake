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

# Wasm only, the levels of optimization: the first folders and files of src hold no loop that a real model spends its time in, and are compiled for size
# alone (-Oz). The loops of the second are written out in vectors: unrolling them or making more instances gains nothing (-Os).
set(BITWRIGHT_COLD_SOURCES api base/checked base/error base/math_f64 base/parallel_for
  base/sorted_order base/text calibrate engine files io kernels/.*/reference
  kernels/conv_u8_i8/pack kernels/probe model ops passes quant/encodings/encodings quant/encodings/fitted quant/encodings/product
  quant/encodings/stored_scales quant/fixed_point quant/glob quant/layout quant/observers/aciq quant/observers/bins
  quant/observers/entropy quant/quant_params quant/weight report samples tensor)
set(BITWRIGHT_SMALL_SOURCES base/math kernels/binary_u8 kernels/border_u8 kernels/conv_f32 kernels/depthwise_f32 kernels/depthwise_u8_i8
  kernels/elementwise_f32 kernels/gemm_i8_nbits kernels/gemm_ternary kernels/lookup_u8 kernels/normalize_f32 kernels/normalize_u8 kernels/pool_f32
  kernels/pool_u8 kernels/reduce_f32 kernels/resample_f32 kernels/softmax_f32 quant)
function(bitwright_shrink_cold_sources)
  if(NOT EMSCRIPTEN)
    return()
  endif()
  list(JOIN BITWRIGHT_COLD_SOURCES "|" cold)
  list(JOIN BITWRIGHT_SMALL_SOURCES "|" small)
  set(relaxed -mrelaxed-simd -DBITWRIGHT_RELAXED=1)  # what bitwright_relax_kernels adds
  set(level_cold -Oz)
  set(level_small -Os)
  set(level_hot)
  foreach(level IN ITEMS cold small hot)
    bitwright_precompiled(${level}_headers ${level_${level}})
    if(BITWRIGHT_RELAXED)
      bitwright_precompiled(${level}_relaxed_headers ${level_${level}} ${relaxed})
    endif()
  endforeach()
  foreach(source IN LISTS ARGN)
    if(source MATCHES "/(src/(${cold})|bindings)[/.]")
      set(level cold)
    elseif(source MATCHES "/src/(${small})[/.]")
      set(level small)
    else()
      set(level hot)
    endif()
    set(headers ${level}_headers)
    if(BITWRIGHT_RELAXED AND source MATCHES "/src/kernels/")
      set(headers ${level}_relaxed_headers)
    endif()
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${level_${level}} ${${headers}})
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
