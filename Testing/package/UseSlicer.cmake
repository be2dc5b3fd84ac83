# What UseSlicer.cmake of a build gives scripted modules.
set(CTK_CMAKE_DIR ${CMAKE_BINARY_DIR}/ctk)
file(COPY ${SLICER_SOURCES}/ctk/CMake/ DESTINATION ${CTK_CMAKE_DIR})
file(COPY ${CMAKE_CURRENT_LIST_DIR}/ctkMacroParseArguments.cmake DESTINATION ${CTK_CMAKE_DIR})
enable_testing()
set(PYTHONINTERP_FOUND TRUE)
set(PYTHONLIBS_FOUND TRUE)

function(ctkFunctionExtractOptimizedLibrary libraries variable)
endfunction()

function(SlicerMacroConfigureGenericPythonModuleTests name scripts)
endfunction()

function(ExternalData_add_test target)
  add_test(${ARGN})
endfunction()

include(${SLICER_SOURCES}/5.12/CMake/SlicerMacroBuildScriptedModule.cmake)
include(${SLICER_SOURCES}/5.12/CMake/SlicerMacroPythonTesting.cmake)
include(${CTK_CMAKE_DIR}/ctkMacroCompilePythonScript.cmake)
