# The core for C++ programs: find_package(EdgeCore) gives Edge::core. What needs the private headers of src/ is inside
# the library; include/edge is all that is public.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(edge_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/EdgeCore)
install(TARGETS edge_core EXPORT EdgeCoreTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT core)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/csrc/include/edge DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT core FILES_MATCHING PATTERN "*.hpp")
install(EXPORT EdgeCoreTargets NAMESPACE Edge:: DESTINATION ${edge_package_dir} COMPONENT core)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/EdgeCoreConfig.cmake.in
  ${PROJECT_BINARY_DIR}/EdgeCoreConfig.cmake INSTALL_DESTINATION ${edge_package_dir})
# Before 1.0 a minor release may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/EdgeCoreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/EdgeCoreConfig.cmake ${PROJECT_BINARY_DIR}/EdgeCoreConfigVersion.cmake
  DESTINATION ${edge_package_dir} COMPONENT core)
