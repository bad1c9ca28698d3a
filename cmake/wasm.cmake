# Links of the wasm modules. The four modules differ in flags, not in sources:
#   bitwright-simd, bitwright-simd-mt, bitwright-relaxed, bitwright-relaxed-mt
set(module bitwright-$<IF:$<BOOL:${BITWRIGHT_RELAXED}>,relaxed,simd>$<$<BOOL:${BITWRIGHT_THREADS}>:-mt>)

set(wasm_link
  -sMODULARIZE -sEXPORT_ES6 -sENVIRONMENT=web,worker,node
  -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=4GB -sINITIAL_MEMORY=4MB
  -sSTACK_SIZE=1MB           # readers and shape inference recurse over subgraphs, 32 deep at most
  -sDYNAMIC_EXECUTION=0      # pages with a strict Content-Security-Policy
  -sFILESYSTEM=0)            # bytes cross as ByteSource and ByteSink
if(BITWRIGHT_THREADS)
  # The host says how many workers to start before the module runs: a thread cannot start while its creator blocks, so one
  # beyond the pool is refused rather than waited for.
  list(APPEND wasm_link "-sPTHREAD_POOL_SIZE=Module['poolSize']||0" -sPTHREAD_POOL_SIZE_STRICT=2 -Wno-pthreads-mem-growth)
endif()
set(wasm_link_level $<IF:$<BOOL:${BITWRIGHT_DEV}>,-O1,-Oz>)  # the level of wasm-opt; sources have their own
if(NOT BITWRIGHT_DEV)
  # What is hot was inlined where it was compiled; between sources, calls are smaller.
  list(APPEND wasm_link_level -Wl,-mllvm,-inline-threshold=-50 -Wl,-mllvm,-enable-merge-functions
    # No engine heeds hints of alignment (atomic accesses must have them); without them, with blocks that give no values, and with
    # locals shared as far as can be and numbered by use, the module compresses better by 2 kB.
    -sBINARYEN_EXTRA_PASSES=$<$<NOT:$<BOOL:${BITWRIGHT_THREADS}>>:--dealign,>--dae-optimizing,--simplify-locals-nostructure,--vacuum,--coalesce-locals-learning,--vacuum,--reorder-locals,--simplify-locals-nostructure,--merge-blocks,--vacuum,--coalesce-locals-learning,--vacuum,--reorder-locals)
endif()

file(GLOB binding_sources CONFIGURE_DEPENDS bindings/*.cpp)
if(binding_sources)
  add_executable(bitwright_module ${binding_sources})
  bitwright_compile_sources(${binding_sources})
  target_link_libraries(bitwright_module PRIVATE bitwright_core)
  target_link_options(bitwright_module PRIVATE ${wasm_link} ${wasm_link_level} -lembind --no-entry -Wl,--wrap=sprintf,--wrap=siprintf
    -sEXPORTED_RUNTIME_METHODS=HEAPU8$<$<BOOL:${BITWRIGHT_THREADS}>:,PThread>)
  # Linked in its own folder; scripts/build.mjs copies it to web/dist/wasm, so that presets never overwrite each other's work.
  set_target_properties(bitwright_module PROPERTIES
    OUTPUT_NAME ${module} SUFFIX .mjs RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/module)
  if(NOT BITWRIGHT_DEV)
    execute_process(COMMAND ${EMSCRIPTEN_ROOT_PATH}/em-config BINARYEN_ROOT COMMAND_ERROR_IS_FATAL ANY
      OUTPUT_VARIABLE binaryen OUTPUT_STRIP_TRAILING_WHITESPACE)
    find_program(BITWRIGHT_NODE node REQUIRED)
    add_custom_command(TARGET bitwright_module POST_BUILD VERBATIM
      COMMAND ${BITWRIGHT_NODE} ${PROJECT_SOURCE_DIR}/scripts/build/order-functions.mjs ${binaryen}/bin/wasm-opt
        ${PROJECT_BINARY_DIR}/module/${module}.wasm)
    set_property(TARGET bitwright_module APPEND PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/scripts/build/order-functions.mjs)
  endif()
endif()

bitwright_precompiled(headers)
target_compile_options(bitwright_tests PRIVATE ${headers})
# A host calls main itself (scripts/wasm-program.mjs, and a page in Chromium), with arguments and `print`.
target_link_options(bitwright_tests PRIVATE ${wasm_link} -O1 --profiling-funcs  # names: tests/build disassembles it
  -sINVOKE_RUN=0 -sEXIT_RUNTIME=1 -sEXPORTED_RUNTIME_METHODS=callMain)
set_target_properties(bitwright_tests PROPERTIES SUFFIX .mjs)

# Programs of tests/bench, built on demand by the benchmarks of their names.
file(GLOB bench_sources CONFIGURE_DEPENDS tests/bench/*.cpp)
foreach(source IN LISTS bench_sources)
  cmake_path(GET source STEM name)
  add_executable(${name} EXCLUDE_FROM_ALL ${source})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE bitwright_core)
  target_compile_definitions(${name} PRIVATE $<$<BOOL:${BITWRIGHT_RELAXED}>:BITWRIGHT_RELAXED=1>)
  target_link_options(${name} PRIVATE ${wasm_link} -O1 -sINVOKE_RUN=0 -sEXPORTED_RUNTIME_METHODS=callMain)
  set_target_properties(${name} PROPERTIES SUFFIX .mjs)
endforeach()
