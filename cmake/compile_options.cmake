# What every target is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

# No contraction into fused multiply-adds except where a kernel asks for it: the reference backend and the
# schedules must give the same bits with every compiler and processor.
set(options -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers -ffp-contract=off)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${options}>")
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(TSTITCH_SANITIZE)
  set(options -fsanitize=${TSTITCH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${options}>")
  add_link_options(-fsanitize=${TSTITCH_SANITIZE})
endif()
