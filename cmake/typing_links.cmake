# mypy and pyright cannot follow the import hook of an editable install, so the installed package's shape is
# mirrored as links under build/typing/edge.
set(typing_root ${CMAKE_SOURCE_DIR}/build/typing/edge)
file(REMOVE_RECURSE ${typing_root})
file(MAKE_DIRECTORY ${typing_root})
file(GLOB umbrella RELATIVE ${CMAKE_SOURCE_DIR}/edge ${CMAKE_SOURCE_DIR}/edge/*)
foreach(entry IN LISTS umbrella)
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/edge/${entry} ${typing_root}/${entry} SYMBOLIC)
endforeach()
foreach(part compress runtime calibration)
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${part} ${typing_root}/${part} SYMBOLIC)
endforeach()
