# The relocatable folder: the programs with their libraries and loader, started by core/launch's static launcher.
#   stage/bin/{cloudos,cloudos-agent,cloudos-agent-root}   the launcher, thrice
#   stage/lib/{NAME.bin,*.so*,ld-linux*}
#   stage/lib/{cloudos-balancer,cloudos-agent-network}     static, started as they are
# Targets: `relocatable` makes it in the build folder; `agent_tarball` makes agent.tar.gz, the part that a machine gets, the
# same bytes for the same programs. Not with the sanitizers: their runtimes do not belong on machines.
if(CLOUDOS_SANITIZE OR CLOUDOS_FUZZ)
  return()
endif()

foreach(program cloudos cloudos-agent cloudos-agent-root)
  if(TARGET ${program})
    # The C++ library goes in statically, without what is not called; nothing of an archive is offered to shared libraries.
    target_link_options(${program} PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL)
  endif()
endforeach()
foreach(program cloudos-agent cloudos-agent-root cloudos-agent-network)
  if(TARGET ${program})
    set_target_properties(${program} PROPERTIES CLOUDOS_STATIC_CRYPTO ON)
  endif()
endforeach()

# cloudos_stage(NAME FOLDER PROGRAMS…): a stamp file's rule that fills FOLDER.
function(cloudos_stage name folder)
  set(programs "")
  set(outside "")
  set(needs cloudos_launch ${PROJECT_SOURCE_DIR}/cmake/stage.cmake)
  foreach(program ${ARGN})
    if(TARGET ${program})
      list(APPEND programs $<TARGET_FILE:${program}>)
      list(APPEND needs ${program})
    endif()
  endforeach()
  foreach(program cloudos-balancer cloudos-agent-network)
    if(TARGET ${program})
      list(APPEND outside $<TARGET_FILE:${program}>)
      list(APPEND needs ${program})
    endif()
  endforeach()
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${name}.stamp
    COMMAND ${CMAKE_COMMAND} "-DPROGRAMS=${programs}" "-DSTATIC_PROGRAMS=${outside}" -DLAUNCHER=$<TARGET_FILE:cloudos_launch>
            -DFOLDER=${folder} -DSTRIP=${CMAKE_STRIP} -P ${PROJECT_SOURCE_DIR}/cmake/stage.cmake
    COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/${name}.stamp
    DEPENDS ${needs} VERBATIM COMMENT "Filling ${folder}")
endfunction()

cloudos_stage(relocatable ${CMAKE_BINARY_DIR}/stage cloudos cloudos-agent cloudos-agent-root)
add_custom_target(relocatable DEPENDS ${CMAKE_BINARY_DIR}/relocatable.stamp)

cloudos_stage(agent_stage ${CMAKE_BINARY_DIR}/agent-stage cloudos-agent cloudos-agent-root)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/agent.tar.gz
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${CMAKE_BINARY_DIR}/agent-stage -DFILE=${CMAKE_BINARY_DIR}/agent.tar.gz
          -P ${PROJECT_SOURCE_DIR}/cmake/tarball.cmake
  DEPENDS ${CMAKE_BINARY_DIR}/agent_stage.stamp ${PROJECT_SOURCE_DIR}/cmake/tarball.cmake VERBATIM COMMENT "Packing agent.tar.gz")
add_custom_target(agent_tarball DEPENDS ${CMAKE_BINARY_DIR}/agent.tar.gz)
