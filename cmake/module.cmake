# tstitch_module(NAME SOURCES file... [DEPENDS module...] [LIBRARIES target...])
#
# One folder of the library as a target tstitch_NAME. DEPENDS are the folders it may include: the same
# table as in tests/layers_test.cpp. The installed library is made of the objects of all of them.
define_property(GLOBAL PROPERTY TSTITCH_MODULES)

function(tstitch_module name)
  cmake_parse_arguments(MODULE "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_library(tstitch_${name} STATIC ${MODULE_SOURCES})
  target_include_directories(tstitch_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  list(TRANSFORM MODULE_DEPENDS PREPEND tstitch_)
  target_link_libraries(tstitch_${name} PUBLIC ${MODULE_DEPENDS} PRIVATE ${MODULE_LIBRARIES})
  set_property(GLOBAL APPEND PROPERTY TSTITCH_MODULES tstitch_${name})
endfunction()
