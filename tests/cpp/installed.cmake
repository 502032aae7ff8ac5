# What others build on: the installed library in a program of theirs, and what a linked core asks of a system.
set(prefix ${CMAKE_CURRENT_BINARY_DIR}/installed)
add_test(NAME install_core
  COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix} --component core)
set_tests_properties(install_core PROPERTIES FIXTURES_SETUP installed_core)

set(options -DCMAKE_PREFIX_PATH=${prefix} -DEDGE_EXPECTED_VERSION=${PROJECT_VERSION}
  -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE})
if(CMAKE_TOOLCHAIN_FILE)
  list(APPEND options -DCMAKE_TOOLCHAIN_FILE=${CMAKE_TOOLCHAIN_FILE} -DCMAKE_SYSROOT=${CMAKE_SYSROOT})
endif()
add_test(NAME consumer
  COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer
    ${CMAKE_CURRENT_BINARY_DIR}/consumer --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM}
    --build-options ${options} --test-command ${CMAKE_CTEST_COMMAND} --output-on-failure --no-tests=error)
set_tests_properties(consumer PROPERTIES FIXTURES_REQUIRED installed_core)

# A library for boards must run on theirs, a local build only here; the wheel's extension has a test in Python.
if(CMAKE_CROSSCOMPILING)
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter)
  # Everything in the core, not only what a test happens to call.
  add_library(core_symbols MODULE $<TARGET_OBJECTS:edge_core>)
  set_target_properties(core_symbols PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(core_symbols PRIVATE Threads::Threads)
  add_test(NAME symbol_versions COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/symbol_versions.py
    $<TARGET_FILE:core_symbols> $<TARGET_FILE:test_projection> $<TARGET_FILE:test_sync_fuzz>)
endif()
