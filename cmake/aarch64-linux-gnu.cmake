# Cross-builds for 64-bit Arm boards with Debian's and Ubuntu's g++-aarch64-linux-gnu; tests run under qemu-user.
# Another root file system, e.g. a board's: -DCMAKE_SYSROOT=<folder>.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Libraries and headers are the target's; programs (Python, qemu) and CMake packages named by the caller the host's.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)

find_program(EDGE_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
if(EDGE_QEMU_AARCH64)
  set(edge_loader_root /usr/aarch64-linux-gnu)
  if(CMAKE_SYSROOT)
    set(edge_loader_root ${CMAKE_SYSROOT})
  endif()
  set(CMAKE_CROSSCOMPILING_EMULATOR ${EDGE_QEMU_AARCH64} -L ${edge_loader_root})
  # Arm's A76 implements the baseline, Armv8.2, and nothing later. Older emulators do not know it.
  execute_process(COMMAND ${EDGE_QEMU_AARCH64} -cpu help OUTPUT_VARIABLE edge_emulated ERROR_QUIET)
  if(edge_emulated MATCHES "cortex-a76")
    list(APPEND CMAKE_CROSSCOMPILING_EMULATOR -cpu cortex-a76)
  endif()
endif()
