# The program, the library (all modules in one), headers, demo models, CMake package and pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(modules GLOBAL PROPERTY TSTITCH_MODULES)
add_library(tstitch STATIC)
foreach(module ${modules})
  target_sources(tstitch PRIVATE $<TARGET_OBJECTS:${module}>)
endforeach()
target_link_libraries(tstitch PRIVATE Threads::Threads PNG::PNG JPEG::JPEG ICU::uc ZLIB::ZLIB PkgConfig::CAIRO)
if(TSTITCH_WITH_CUDA)
  target_link_libraries(tstitch PRIVATE CUDA::cudart_static)
  set(cuda_libraries " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
target_compile_features(tstitch PUBLIC cxx_std_20)
target_include_directories(tstitch INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_definitions(tstitch INTERFACE TSTITCH_VERSION="${PROJECT_VERSION}")

install(TARGETS tstitch EXPORT tstitch ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tstitch_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY tstitch DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# words-s is links to what it shares with words-l, which stay links.
install(DIRECTORY assets/ DESTINATION ${CMAKE_INSTALL_DATADIR}/tstitch)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tstitch)
install(EXPORT tstitch NAMESPACE tstitch:: FILE tstitch-targets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/tstitch-config.cmake.in tstitch-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(tstitch-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tstitch-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/tstitch-config-version.cmake
        DESTINATION ${package_dir})
configure_file(cmake/tstitch.pc.in tstitch.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tstitch.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
