# Stands in for a built Slicer: Slicer's and CTK's own macros, from the folder SLICER_SOURCES, on what
# they need of a build. `find_package(Slicer)` finds it on CMAKE_MODULE_PATH. Never shipped.
set(Slicer_USE_PYTHONQT ON)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.12/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
set(Slicer_CLIMODULES_LIB_DIR lib/Slicer-5.12/cli-modules)
set(Slicer_QTLOADABLEMODULES_LIB_DIR lib/Slicer-5.12/qt-loadable-modules)
set(Slicer_LAUNCHER_EXECUTABLE Slicer)
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_FOUND TRUE)
